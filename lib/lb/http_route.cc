#include "lb/http_route.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace weir::lb::http {

using match::Subject;

namespace {

constexpr bool is_space(char c) {
  return c == ' ' || c == '\t';
}

// A part that is here in one piece.
void part(match::Scan& scan, Subject subject, std::string_view text, std::string_view name = {}) {
  if (text.empty() && subject != Subject::kHeader) return;
  (void)scan.begin(subject, name);
  if (!text.empty()) scan.feed(text.data(), text.size());
  scan.end();
}

std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

}  // namespace

ScanBank::ScanBank(std::shared_ptr<const match::RuleSet> rules, std::uint32_t scans)
    : rules_(std::move(rules)), scratch_(rules_->database()) {
  scans_.reserve(scans + 1U);
  free_.reserve(scans);
  for (std::uint32_t i = 0; i <= scans; ++i) {
    scans_.push_back(std::make_unique<match::Scan>(*rules_, scratch_));
    if (i < scans) free_.push_back(scans_.back().get());
  }
  tags_.reserve(rules_->rules().size());
  const auto& all = rules_->rules();
  const auto tags_body = [](const match::Rule& r) {
    return r.subject == Subject::kBody && r.action == match::Action::kTag;
  };
  const auto first = std::find_if(all.begin(), all.end(), tags_body);
  if (first != all.end()) first_body_tag_ = static_cast<std::uint32_t>(first - all.begin());
}

match::Scan* ScanBank::take() {
  if (free_.empty()) return nullptr;
  match::Scan* scan = free_.back();
  free_.pop_back();
  scan->restart();
  return scan;
}

void ScanBank::give(match::Scan* scan) {
  WEIR_ASSERT(free_.size() < free_.capacity());
  free_.push_back(scan);
}

match::Scan& ScanBank::spare() {
  scans_.back()->restart();
  return *scans_.back();
}

void Routing::begin(ScanBank* bank) {
  *this = {};
  bank_ = bank;
  if (bank_ != nullptr) scan_ = bank_->take();
}

void Routing::end() {
  if (scan_ != nullptr) bank_->give(scan_);
  scan_ = nullptr;
  bank_ = nullptr;
}

void Routing::begin_part(Part part, Subject subject, std::string_view name) {
  part_ = part;
  (void)scan_->begin(subject, name);
}

void Routing::end_part() {
  if (part_ != Part::kNone) scan_->end();
  part_ = Part::kNone;
}

void Routing::on_method(const char* text, std::size_t n) {
  if (scan_ == nullptr) return;
  if (part_ != Part::kMethod) begin_part(Part::kMethod, Subject::kMethod);
  scan_->feed(text, n);
}

// An absolute target's scheme and authority are passed over (RFC 9112 §3.2.2).
void Routing::on_target(const char* text, std::size_t n) {
  if (scan_ == nullptr || n == 0) return;
  if (part_ == Part::kMethod) {
    end_part();
    begin_part(Part::kTargetFirst, Subject::kPath);
  }
  if (part_ == Part::kTargetFirst) {
    part_ = text[0] == '/' || text[0] == '*' ? Part::kTarget : Part::kAuthority;
  }
  std::size_t from = 0;
  for (; part_ == Part::kAuthority && from < n; ++from) {
    if (text[from] != '/') continue;
    if (++slashes_ < 3) continue;
    part_ = Part::kTarget;
    break;
  }
  if (part_ == Part::kTarget && from < n) scan_->feed(text + from, n - from);
}

void Routing::on_target_end() {
  if (scan_ == nullptr) return;
  if (part_ == Part::kAuthority) scan_->feed("/", 1);
  end_part();
}

void Routing::on_field(std::string_view name) {
  if (scan_ == nullptr) return;
  spaces_ = 0;
  value_begun_ = false;
  if (same_name(name, "host")) {
    begin_part(Part::kHost, Subject::kHost);
    host_seen_ = true;
    host_done_ = bracket_ = false;
  } else if (bank_->rules().looks_at_header(name)) {
    begin_part(Part::kValue, Subject::kHeader, name);
  }
}

void Routing::on_host(const char* text, std::size_t n) {
  std::size_t end = 0;
  for (; end < n && !host_done_; ++end) {
    const char c = text[end];
    if (c == '[') bracket_ = true;
    if (c == ']') bracket_ = false;
    host_done_ = is_space(c) || (c == ':' && !bracket_);
    if (host_done_) break;
  }
  if (end > 0) scan_->feed(text, end);
}

void Routing::on_value(const char* text, std::size_t n, const char* copy) {
  if (part_ != Part::kValue && part_ != Part::kHost) return;
  std::size_t from = 0;
  while (!value_begun_ && from < n && is_space(text[from])) ++from;
  if (from == n) return;
  value_begun_ = true;
  if (part_ == Part::kHost) {
    if (!host_done_) on_host(text + from, n - from);
    return;
  }
  std::size_t end = n;
  while (end > from && is_space(text[end - 1])) --end;
  if (end > from) {
    if (spaces_ > 0) scan_->feed(copy + from - spaces_, spaces_);
    scan_->feed(text + from, end - from);
    spaces_ = 0;
  }
  spaces_ += static_cast<std::uint32_t>(n - end);
}

void Routing::on_value_end() {
  if (part_ == Part::kValue || part_ == Part::kHost) end_part();
}

void Routing::on_body(const char* text, std::size_t n) {
  if (scan_ == nullptr) return;
  if (part_ != Part::kBody) begin_part(Part::kBody, Subject::kBody);
  scan_->feed(text, n);
}

void Routing::on_body_end() {
  if (scan_ != nullptr && part_ == Part::kBody) end_part();
}

// The head once more, from its block.
void Routing::rescan(match::Scan& scan, std::string_view head, const Facts& facts) const {
  part(scan, Subject::kMethod, facts.method);
  part(scan, Subject::kPath, facts.target);
  part(scan, Subject::kHost, without_port(facts.host));
  Fields fields(head);
  std::string_view name, value;
  while (fields.next(name, value)) {
    if (bank_->rules().looks_at_header(name)) part(scan, Subject::kHeader, value, name);
  }
}

bool Routing::on_head(std::string_view head, const Facts& facts) {
  if (bank_ == nullptr) return true;
  if (scan_ == nullptr) {
    match::Scan& spare = bank_->spare();
    rescan(spare, head, facts);
    read(spare, last_);
    return !last_.body_may_decide || facts.framing == Framing::kNone;
  }
  // HTTP/1.0 with an absolute target, or a rule on the whole field.
  if (!host_seen_) part(*scan_, Subject::kHost, without_port(facts.host));
  if (bank_->rules().looks_at_header("host")) part(*scan_, Subject::kHeader, facts.host, "host");
  return true;
}

void Routing::read(const match::Scan& scan, Verdict& out) const {
  out = {};
  const auto& rules = bank_->rules().rules();
  const auto v = scan.verdict();
  out.body_may_decide = scan.body_may_decide() || bank_->first_body_tag() < v.value_or(UINT32_MAX);
  if (v) {
    const match::Rule& rule = rules[*v];
    out.kind = rule.action == match::Action::kDeny ? Verdict::kDeny : Verdict::kPool;
    out.pool = rule.pool;
    out.status = rule.status;
  }
  std::vector<std::uint32_t>& tags = bank_->scratch_tags();
  tags.clear();
  scan.tags(tags);
  out.tag_count = static_cast<std::uint32_t>(tags.size());
  std::copy_n(tags.begin(), std::min<std::size_t>(tags.size(), kMaxTags), out.tags);
}

Verdict Routing::verdict() const {
  Verdict out = last_;
  if (scan_ != nullptr) read(*scan_, out);
  return out;
}

}  // namespace weir::lb::http
