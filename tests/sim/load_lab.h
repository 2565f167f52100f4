// The generator of `weir load` and a server, on two stacks in virtual time.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "load.h"
#include "pattern.h"
#include "serve.h"
#include "sim_world.h"

namespace weir::test {

using app::LoadConfig;

class Generator : public App {
 public:
  std::unique_ptr<app::LoadHandler> load;
  void on_connected(Connection c, std::uint64_t u) override { load->on_connected(c, u); }
  void on_readable(Connection c, std::uint64_t u) override { load->on_readable(c, u); }
  void on_writable(Connection c, std::uint64_t u) override { load->on_writable(c, u); }
  void on_peer_closed(Connection c, std::uint64_t u) override { load->on_peer_closed(c, u); }
  void on_timer(Connection c, std::uint64_t u) override { load->on_timer(c, u); }
  void on_closed(Connection c, std::uint64_t u, CloseReason r) override {
    load->on_closed(c, u, r);
  }
  unsigned on_turn(Instant now) override {
    if (!load) return 0;
    load->check_invariants();
    const unsigned did = load->on_turn(now);
    load->check_invariants();
    return did;
  }
  [[nodiscard]] Instant next_turn() const override { return load ? load->next_turn() : kNever; }
};

// The real server, or a text that is said to every request, and an end to the connection.
class Server : public App {
 public:
  enum class End : std::uint8_t { kNone, kFin, kRst };
  std::unique_ptr<app::ServeHandler> serve;
  std::string says, got;
  End ends = End::kNone;
  bool at_once = false;  // ends what it accepts

  void on_accept(Connection c, ListenerId l) override {
    if (serve) return serve->on_accept(c, l);
    if (at_once) end(c);
  }
  void on_readable(Connection c, std::uint64_t u) override {
    if (serve) return serve->on_readable(c, u);
    BufChain text = c.receive(c.readable());
    for (const Buf* b = text.head(); b != nullptr; b = b->next) {
      got.append(reinterpret_cast<const char*>(b->data), b->len);
    }
    c.release(std::move(text));
    c.send(std::as_bytes(std::span(says)));
    end(c);
  }
  void on_writable(Connection c, std::uint64_t u) override {
    if (serve) serve->on_writable(c, u);
  }
  void on_peer_closed(Connection c, std::uint64_t u) override {
    if (serve) return serve->on_peer_closed(c, u);
    c.close();
  }
  void on_timer(Connection c, std::uint64_t u) override {
    if (serve) serve->on_timer(c, u);
  }
  void on_closed(Connection c, std::uint64_t u, CloseReason r) override {
    if (serve) serve->on_closed(c, u, r);
  }

 private:
  void end(Connection c) const {
    if (ends == End::kFin) c.shutdown_send();
    if (ends == End::kRst) c.abort();
  }
};

inline HostSpec spec_of(const sim::Faults& faults) {
  HostSpec spec;
  spec.up = spec.down = faults;
  spec.stack.max_connections = 2'048;
  spec.stack.tcp.max_syn_backlog = 2'048;
  spec.stack.tcp.max_tw_buckets = 65'536;
  return spec;
}

struct Lab {
  explicit Lab(const sim::Faults& faults = {}, std::uint64_t seed = 1) : world(seed) {
    HostSpec spec = spec_of(faults);
    spec.stack.tcp.port_low = low_port;
    world.add_host(generator, spec);
    world.add_host(server, spec_of({}));
    config.targets = {{world.host(1).addr(), 80}};
    config.concurrency = 1'000;
    config.paths = {{"/bytes/3000"}};
    config.expect_size = 3'000;
    config.expect_pattern = true;
  }
  void serve() {
    app::ServeConfig c;
    c.listeners.push_back({"web", config.targets[0], 2'048});
    server.serve = std::make_unique<app::ServeHandler>(world.host(1).stack(), c, 2'048U);
    ASSERT_TRUE(server.serve->start().ok());
  }
  void say(const std::string& text, Server::End ends) {
    server.says = text;
    server.ends = ends;
    ASSERT_TRUE(world.host(1).stack().listen(config.targets[0], {.backlog = 1'024}).ok());
    config.expect_size.reset();
    config.expect_pattern = false;
  }
  void start(app::LoadHandler::Share share = {}) {
    generator.load = std::make_unique<app::LoadHandler>(world.host(0).stack(), config, share);
  }
  void run(Duration time) {
    start();
    world.run_for(time);
  }
  const app::LoadCounters& counters() const { return generator.load->counters(); }
  std::uint64_t errors() const { return counters().connect_errors() + counters().answer_errors(); }
  telemetry::HistogramSnapshot latency(const telemetry::Histogram& h) const {
    telemetry::HistogramSnapshot s;
    s.add(h);
    return s;
  }
  void drain(Duration limit = 300s) {
    generator.load->stop_accepting();
    world.host(0).poke();
    EXPECT_TRUE(world.run_until([&] { return world.at_rest(); }, limit));
    EXPECT_EQ(counters().open.get(), 0U);
    EXPECT_EQ(counters().connecting.get(), 0U);
    world.expect_at_rest();
  }
  static inline std::uint16_t low_port = 32'768;
  Generator generator;
  Server server;
  World world;
  LoadConfig config;
};

}  // namespace weir::test
