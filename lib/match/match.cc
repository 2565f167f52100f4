#include "match/match.h"

#include <hs/hs.h>

#include <cstdlib>
#include <new>

#include "base/assert.h"

namespace weir::match {
namespace {

int on_match(unsigned id, unsigned long long, unsigned long long to, unsigned, void* context) {
  static_cast<std::vector<Match>*>(context)->push_back({id, to});
  return 0;
}

unsigned flags_of(const Pattern& p) {
  return HS_FLAG_ALLOWEMPTY | (p.caseless ? HS_FLAG_CASELESS : 0U) |
         (p.once ? HS_FLAG_SINGLEMATCH : 0U);
}

CompileError take(hs_compile_error_t* error) {
  CompileError why;
  if (error->expression >= 0) why.pattern = static_cast<std::size_t>(error->expression);
  why.reason = error->message;
  hs_free_compile_error(error);
  return why;
}

}  // namespace

std::optional<std::string> check(const Pattern& pattern) {
  hs_expr_info_t* info = nullptr;
  hs_compile_error_t* error = nullptr;
  if (hs_expression_info(pattern.expression.c_str(), flags_of(pattern), &info, &error) !=
      HS_SUCCESS) {
    return take(error).reason;
  }
  std::free(info);  // NOLINT: Hyperscan allocates it so
  return std::nullopt;
}

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
    flags.push_back(flags_of(p));
    ids.push_back(p.id);
  }
  hs_database_t* db = nullptr;
  hs_compile_error_t* error = nullptr;
  const hs_error_t e = hs_compile_multi(expressions.data(), flags.data(), ids.data(),
                                        static_cast<unsigned>(patterns.size()), HS_MODE_STREAM,
                                        nullptr, &db, &error);
  if (e == HS_SUCCESS) return Database(db);
  return take(error);
}

std::string Database::serialize() const {
  char* octets = nullptr;
  std::size_t n = 0;
  if (hs_serialize_database(db_.get(), &octets, &n) != HS_SUCCESS) return {};
  std::string out(octets, n);
  std::free(octets);  // NOLINT: Hyperscan allocates it so
  return out;
}

std::optional<Database> Database::deserialize(std::string_view octets) {
  hs_database_t* db = nullptr;
  if (hs_deserialize_database(octets.data(), octets.size(), &db) != HS_SUCCESS) return std::nullopt;
  return Database(db);
}

std::string Database::platform() {
  hs_platform_info_t info{};
  hs_populate_platform(&info);
  return std::string(hs_version()) + " tune " + std::to_string(info.tune) + " features " +
         std::to_string(info.cpu_features);
}

std::size_t Database::bytes() const {
  std::size_t n = 0;
  WEIR_ASSERT(hs_database_size(db_.get(), &n) == HS_SUCCESS);
  return n;
}

std::size_t Database::stream_bytes() const {
  std::size_t n = 0;
  WEIR_ASSERT(hs_stream_size(db_.get(), &n) == HS_SUCCESS);
  return n;
}

Scratch::Scratch(const Database& db) {
  fit(db);
}

void Scratch::fit(const Database& db) {
  hs_scratch_t* s = scratch_.release();
  // Grows it, moving it, if this database needs more than those before. What fails leaves it.
  const hs_error_t e = hs_alloc_scratch(db.db_.get(), &s);
  scratch_.reset(s);
  if (e != HS_SUCCESS) throw std::bad_alloc();
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
