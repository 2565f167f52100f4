// Where one request goes: the rules of its listener, walked while the request is being read.
//
// Each listener with rules has a bank of Scans on each core, opened at the start. A request whose
// head comes while the bank is empty is scanned in one go at the end of its head instead. Parts of
// a request are given to the rules as they lie in the receive buffers: the target in origin form,
// the host without its port, values without white space around them; nothing is decoded.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "lb/http_head.h"
#include "match/rules.h"

namespace weir::lb::http {

class ScanBank {
 public:
  // Throws std::bad_alloc.
  ScanBank(std::shared_ptr<const match::RuleSet> rules, std::uint32_t scans);

  [[nodiscard]] const match::RuleSet& rules() const { return *rules_; }
  [[nodiscard]] match::Scan* take();  // null when all are in use
  void give(match::Scan* scan);
  // For use within one call.
  [[nodiscard]] match::Scan& spare();
  [[nodiscard]] std::vector<std::uint32_t>& scratch_tags() { return tags_; }
  // The first rule that tags by the body: what stands behind it waits for the body too.
  [[nodiscard]] std::uint32_t first_body_tag() const { return first_body_tag_; }

 private:
  std::shared_ptr<const match::RuleSet> rules_;
  match::Scratch scratch_;
  std::vector<std::unique_ptr<match::Scan>> scans_;  // the last one is the spare
  std::vector<match::Scan*> free_;
  std::vector<std::uint32_t> tags_;
  std::uint32_t first_body_tag_ = UINT32_MAX;
};

// What the rules say of a request so far.
struct Verdict {
  enum Kind : std::uint8_t { kNone, kPool, kDeny };
  Kind kind = kNone;
  std::uint32_t pool = 0;
  std::uint16_t status = 0;
  bool body_may_decide = false;  // or tag: the body is worth waiting for
  std::uint32_t tag_count = 0;   // of all that matched, even where there is room for fewer
  std::uint32_t tags[kMaxTags];  // indices of rules
};

class Routing {
 public:
  void begin(ScanBank* bank);  // null: no rules
  void end();                  // gives the Scan back
  [[nodiscard]] bool scanning() const { return scan_ != nullptr; }

  // From Framer, in the order of the text.
  void on_method(const char* text, std::size_t n);
  void on_target(const char* text, std::size_t n);
  void on_target_end();
  void on_field(std::string_view name);
  // `copy`: the same octets in the head's block, behind those that came before.
  void on_value(const char* text, std::size_t n, const char* copy);
  void on_value_end();
  void on_body(const char* text, std::size_t n);
  void on_body_end();
  // The whole head is here. False when the body's rules would need a Scan and none is left.
  [[nodiscard]] bool on_head(std::string_view head, const Facts& facts);

  [[nodiscard]] Verdict verdict() const;

 private:
  enum class Part : std::uint8_t {
    kNone,
    kMethod,
    kTargetFirst,
    kAuthority,
    kTarget,
    kValue,
    kHost,
    kBody
  };

  void begin_part(Part part, match::Subject subject, std::string_view name = {});
  void end_part();
  void on_host(const char* text, std::size_t n);
  void rescan(match::Scan& scan, std::string_view head, const Facts& facts) const;
  void read(const match::Scan& scan, Verdict& out) const;

  ScanBank* bank_ = nullptr;
  match::Scan* scan_ = nullptr;
  Part part_ = Part::kNone;
  std::uint8_t slashes_ = 0;  // of "http://authority/" so far
  bool bracket_ = false;      // inside an IPv6 address
  bool host_seen_ = false;
  bool host_done_ = false;  // at its port
  bool value_begun_ = false;
  std::uint32_t spaces_ = 0;  // held back: white space that may be the end of the value
  Verdict last_;              // of a request that the spare Scan looked at
};

}  // namespace weir::lb::http
