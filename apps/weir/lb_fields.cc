#include "lb_fields.h"

#include <string>

namespace weir::app {
namespace {

void add_http(const lb::HttpCounters& c, std::vector<Field>& out) {
  out.insert(out.end(), {{"http_requests", c.requests.get()},
                         {"http_responses_1xx", c.responses[0].get()},
                         {"http_responses_2xx", c.responses[1].get()},
                         {"http_responses_3xx", c.responses[2].get()},
                         {"http_responses_4xx", c.responses[3].get()},
                         {"http_responses_5xx", c.responses[4].get()},
                         {"http_answers_400", c.answers_400.get()},
                         {"http_answers_404", c.answers_404.get()},
                         {"http_answers_408", c.answers_408.get()},
                         {"http_answers_413", c.answers_413.get()},
                         {"http_answers_431", c.answers_431.get()},
                         {"http_answers_501", c.answers_501.get()},
                         {"http_answers_502", c.answers_502.get()},
                         {"http_answers_503", c.answers_503.get()},
                         {"http_answers_504", c.answers_504.get()},
                         {"http_answers_505", c.answers_505.get()},
                         {"http_denied", c.denied.get()},
                         {"http_tagged", c.tagged.get()},
                         {"http_tags_over", c.tags_over.get()},
                         {"http_held", c.held.get()},
                         {"http_smuggling_rejects", c.smuggling_rejects.get()},
                         {"http_backend_malformed", c.backend_malformed.get()},
                         {"http_backend_fresh", c.backend_fresh.get()},
                         {"http_backend_reused", c.backend_reused.get()},
                         {"http_idle_backends", c.idle_backends.get(), true},
                         {"http_request_retries", c.request_retries.get()},
                         {"http_unsolicited", c.unsolicited.get()},
                         {"http_cut", c.cut.get()},
                         {"http_upgrades", c.upgrades.get()}});
}

}  // namespace

std::vector<Field> lb_fields(const lb::Front& front) {
  const lb::Counters& c = front.tcp().counters();
  const lb::HttpCounters& h = front.http().counters();
  const auto both = [&](const auto lb::Counters::*tcp, const auto lb::HttpCounters::*http) {
    return std::uint64_t{(c.*tcp).get()} + (h.*http).get();
  };
  using C = lb::Counters;
  using H = lb::HttpCounters;
  std::vector<Field> out{{"sessions", both(&C::sessions, &H::sessions), true},
                         {"sessions_total", both(&C::sessions_total, &H::sessions_total)},
                         {"backend_retries", both(&C::backend_retries, &H::backend_retries)},
                         {"no_backend", both(&C::no_backend, &H::no_backend)},
                         {"connect_errors", both(&C::connect_errors, &H::connect_errors)},
                         {"client_resets", both(&C::client_resets, &H::client_resets)},
                         {"backend_resets", both(&C::backend_resets, &H::backend_resets)},
                         {"idle_timeouts", both(&C::idle_timeouts, &H::idle_timeouts)},
                         {"aborted", both(&C::aborted, &H::aborted)},
                         {"refused", both(&C::refused, &H::refused)},
                         {"bytes_to_backend", both(&C::bytes_to_backend, &H::bytes_to_backend)},
                         {"bytes_to_client", both(&C::bytes_to_client, &H::bytes_to_client)}};
  add_http(h, out);
  for (const lb::Pool& p : front.tcp().pools()) {
    for (std::uint32_t b = 0; b < p.config().backends.size(); ++b) {
      const std::string name = p.config().name + "/" + to_string(p.endpoint(b)) + "/";
      out.push_back({name + "active", p.counters(b).active.get(), true});
      out.push_back({name + "total", p.counters(b).total.get()});
      out.push_back({name + "failed", p.counters(b).failed.get()});
    }
  }
  return out;
}

}  // namespace weir::app
