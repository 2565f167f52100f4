#include "match/rules.h"

#include <hs/hs.h>

#include <algorithm>
#include <bit>
#include <new>

#include "base/assert.h"
#include "match/cache.h"

namespace weir::match {
namespace {

char lower(char c) {
  return static_cast<char>(c + (static_cast<unsigned char>(c - 'A') < 26 ? 'a' - 'A' : 0));
}

std::string lower(std::string_view s) {
  std::string out(s);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return lower(c); });
  return out;
}

// Shorter names first, so that most comparisons end there. `known` is in lower case, `name` in any.
int compare(std::string_view known, std::string_view name) {
  if (known.size() != name.size()) return known.size() < name.size() ? -1 : 1;
  for (std::size_t i = 0; i < known.size(); ++i) {
    const int d = known[i] - lower(name[i]);
    if (d != 0) return d;
  }
  return 0;
}

std::uint64_t length_bit(std::string_view name) {
  return std::uint64_t{1} << std::min<std::size_t>(name.size(), 63);
}

std::vector<Pattern> patterns_of(const std::vector<Rule>& rules) {
  std::vector<Pattern> patterns;
  patterns.reserve(rules.size());
  for (const Rule& r : rules) {
    patterns.push_back({.expression = r.pattern,
                        .id = static_cast<std::uint32_t>(patterns.size()),
                        .caseless = r.caseless || r.subject == Subject::kHost,
                        .once = true});
  }
  return patterns;
}

}  // namespace

Result<RuleSet, CompileError> RuleSet::compile(std::vector<Rule> rules,
                                               const std::string& cache_dir) {
  WEIR_ASSERT(!rules.empty() && rules.size() <= kMaxRules);
  RuleSet set;
  set.rules_ = std::move(rules);
  set.index_rules();
  const std::vector<Pattern> patterns = patterns_of(set.rules_);
  const Cache cache(cache_dir, patterns);
  std::optional<Database> db = cache.load(set.cache_note_);
  set.from_cache_ = db.has_value();
  if (!db) {
    auto compiled = Database::compile(patterns);
    if (!compiled) return compiled.error();
    db.emplace(std::move(*compiled));
    cache.store(*db, set.cache_note_);
  }
  set.database_ = std::make_unique<Database>(std::move(*db));
  return set;
}

void RuleSet::index_rules() {
  for (Rule& r : rules_) {
    if (r.subject != Subject::kHeader) continue;
    r.header = lower(r.header);
    headers_.push_back(r.header);
    header_lengths_ |= length_bit(r.header);
  }
  std::sort(headers_.begin(), headers_.end(),
            [](const std::string& a, const std::string& b) { return compare(a, b) < 0; });
  headers_.erase(std::unique(headers_.begin(), headers_.end()), headers_.end());
  first_of_part_.assign(kFirstHeader + headers_.size(), kNoRule);
  for (std::uint32_t i = 0; i < rules_.size(); ++i) {
    const Rule& r = rules_[i];
    const Target t{.part = part_of(r.subject, r.header), .tag = r.action == Action::kTag};
    targets_.push_back(t);
    subjects_ = static_cast<std::uint8_t>(subjects_ | bit(r.subject));
    first_of_part_[t.part] = std::min(first_of_part_[t.part], i);
    if (r.subject == Subject::kBody && !t.tag) {
      first_body_decider_ = std::min(first_body_decider_, i);
    }
  }
}

RuleSet::Part RuleSet::part_of(Subject subject, std::string_view header) const {
  switch (subject) {
    case Subject::kMethod:
      return 0;
    case Subject::kHost:
      return 1;
    case Subject::kPath:
      return 2;
    case Subject::kBody:
      return 3;
    case Subject::kHeader:
      break;
  }
  if ((header_lengths_ & length_bit(header)) == 0) return kNoPart;
  const auto at = std::lower_bound(
      headers_.begin(), headers_.end(), header,
      [](const std::string& known, std::string_view name) { return compare(known, name) < 0; });
  if (at == headers_.end() || compare(*at, header) != 0) return kNoPart;
  return static_cast<Part>(kFirstHeader + (at - headers_.begin()));
}

bool RuleSet::looks_at_header(std::string_view name) const {
  return part_of(Subject::kHeader, name) != kNoPart;
}

Scan::Scan(const RuleSet& rules, const Scratch& scratch)
    : rules_(rules), scratch_(scratch.scratch_.get()) {
  for (std::size_t i = rules.targets_.size(); i > 0; --i) {
    if (!rules.targets_[i - 1].tag) continue;
    tags_.resize((i + 63) / 64);
    break;
  }
  if (hs_open_stream(rules.database_->db_.get(), 0, &stream_) != HS_SUCCESS) throw std::bad_alloc();
}

Scan::~Scan() {
  hs_close_stream(stream_, nullptr, nullptr, nullptr);
}

void Scan::restart() {
  if (dirty_) WEIR_ASSERT(hs_reset_stream(stream_, 0, nullptr, nullptr, nullptr) == HS_SUCCESS);
  dirty_ = false;
  part_ = RuleSet::kNoPart;
  verdict_ = RuleSet::kNoRule;
  if (tagged_) std::fill(tags_.begin(), tags_.end(), 0);
  tagged_ = false;
}

// Every pattern runs over every part that is scanned: what counts is that the rule looks at it.
int Scan::on_match(unsigned id, unsigned long long, unsigned long long, unsigned, void* self) {
  Scan& scan = *static_cast<Scan*>(self);
  const RuleSet::Target target = scan.rules_.targets_[id];
  if (target.part != scan.part_) return 0;
  if (target.tag) {
    scan.tags_[id / 64] |= std::uint64_t{1} << (id % 64);
    scan.tagged_ = true;
  } else {
    scan.verdict_ = std::min(scan.verdict_, std::uint32_t{id});
  }
  return 0;
}

bool Scan::begin(Subject subject, std::string_view header) {
  WEIR_ASSERT(part_ == RuleSet::kNoPart && !dirty_);  // the part before must have ended
  part_ = rules_.part_of(subject, header);
  return wanted();
}

void Scan::feed(const char* text, std::size_t n) {
  constexpr std::size_t kMaxPiece = std::size_t{1} << 30U;  // Hyperscan counts in unsigned int
  // When it has ceased to be wanted, the rest is left out: a rule that might match for the gap
  // stands behind the verdict.
  while (n > 0 && wanted()) {
    const std::size_t piece = std::min(n, kMaxPiece);
    const hs_error_t e =
        hs_scan_stream(stream_, text, static_cast<unsigned>(piece), 0, scratch_, on_match, this);
    WEIR_ASSERT(e == HS_SUCCESS);
    dirty_ = true;
    text += piece;
    n -= piece;
  }
}

void Scan::end() {
  // The reset reports what matches at the end of the text, empty text too.
  if (wanted()) {
    WEIR_ASSERT(hs_reset_stream(stream_, 0, scratch_, on_match, this) == HS_SUCCESS);
  } else if (dirty_) {
    WEIR_ASSERT(hs_reset_stream(stream_, 0, nullptr, nullptr, nullptr) == HS_SUCCESS);
  }
  dirty_ = false;
  part_ = RuleSet::kNoPart;
}

void Scan::tags(std::vector<std::uint32_t>& out) const {
  if (!tagged_) return;
  for (std::size_t word = 0; word < tags_.size(); ++word) {
    for (std::uint64_t bits = tags_[word]; bits != 0; bits &= bits - 1) {
      const auto id = static_cast<std::uint32_t>(word * 64) +
                      static_cast<std::uint32_t>(std::countr_zero(bits));
      if (id >= verdict_) return;
      out.push_back(id);
    }
  }
}

}  // namespace weir::match
