#include "match/match.h"

#include <hs/hs.h>

#include <new>

#include "base/assert.h"

namespace weir::match {
namespace {

int on_match(unsigned id, unsigned long long, unsigned long long to, unsigned, void* context) {
  static_cast<std::vector<Match>*>(context)->push_back({id, to});
  return 0;
}

}  // namespace

void Database::Free::operator()(hs_database* db) const {
  hs_free_database(db);
}
void Scratch::Free::operator()(hs_scratch* s) const {
  hs_free_scratch(s);
}

Result<Database, CompileError> Database::compile(std::span<const Pattern> patterns) {
  std::vector<const char*> expressions;
  std::vector<unsigned> flags;
  std::vector<unsigned> ids;
  for (const Pattern& p : patterns) {
    expressions.push_back(p.expression.c_str());
    flags.push_back(p.caseless ? HS_FLAG_CASELESS : 0U);
    ids.push_back(p.id);
  }
  hs_database_t* db = nullptr;
  hs_compile_error_t* error = nullptr;
  const hs_error_t e = hs_compile_multi(expressions.data(), flags.data(), ids.data(),
                                        static_cast<unsigned>(patterns.size()), HS_MODE_STREAM,
                                        nullptr, &db, &error);
  if (e == HS_SUCCESS) return Database(db);
  CompileError why;
  why.pattern = error->expression < 0 ? 0 : static_cast<std::size_t>(error->expression);
  why.reason = error->message;
  hs_free_compile_error(error);
  return why;
}

Scratch::Scratch(const Database& db) {
  hs_scratch_t* s = nullptr;
  if (hs_alloc_scratch(db.db_.get(), &s) != HS_SUCCESS) throw std::bad_alloc();
  scratch_.reset(s);
}

Stream::Stream(const Database& db, const Scratch& scratch) : scratch_(scratch.scratch_.get()) {
  if (hs_open_stream(db.db_.get(), 0, &stream_) != HS_SUCCESS) throw std::bad_alloc();
}

Stream::~Stream() {
  hs_close_stream(stream_, nullptr, nullptr, nullptr);
}

void Stream::scan(const BufChain& chain, std::vector<Match>& out) {
  for (const Buf* b = chain.head(); b != nullptr; b = b->next) {
    const hs_error_t e = hs_scan_stream(stream_, reinterpret_cast<const char*>(b->data), b->len, 0,
                                        scratch_, on_match, &out);
    WEIR_ASSERT(e == HS_SUCCESS);
  }
}

}  // namespace weir::match
