// The tables of the config, one function each: names, types, ranges, and what must fit together.
#pragma once

#include "config.h"
#include "toml_reader.h"

namespace weir::app {

// Fills `config`, whose command is set, or leaves a problem.
void read_tables(const toml::table& root, const Machine& machine, Config& config, Problem& problem);

void read_eal(TableReader t, const Machine& machine, EalConfig& eal, Problem& problem);
void read_port(TableReader t, PortConfig& port, Problem& problem);
void read_limits(TableReader t, const Config& config, LimitsConfig& limits);
void read_tcp(TableReader t, tcp::Config& tcp);
void read_serve(TableReader t, const Config& config, ServeConfig& serve, Problem& problem);
void read_load(TableReader t, Config& config, Problem& problem);
void read_lb_tables(TableReader& root, Config& config, Problem& problem);

// Gives listener `index` what a listener of its mode needs: with mode = "http" the compiled set of
// its rules `file` ("": none), relative to the config's folder. Marks the `pools` that rules name.
void attach_rules(Config& config, std::size_t index, const std::string& file,
                  const std::vector<std::string>& pools, const std::optional<std::string>& cache,
                  std::vector<bool>& ruled, Problem& problem);

[[nodiscard]] std::string core_list(const std::set<unsigned>& cores);  // "0-3,6"
// Reports an address that no host may have, or that is written in a misleading way. `what` begins
// the message: "port.gateway = \"...\"".
bool check_host_address(const IpAddr& addr, std::string_view text, const toml::node& node,
                        const std::string& what, Problem& problem);
[[nodiscard]] bool on_network(const stack::IpPrefix& prefix, const IpAddr& addr);
// The address is the network's own or its broadcast.
[[nodiscard]] bool is_network_or_broadcast(const stack::IpPrefix& prefix, const IpAddr& addr);
// On a network of the port; with IPv6, fe80::/64 is one.
[[nodiscard]] bool on_link(const PortConfig& port, const IpAddr& addr);
// On a network of the port, or any at all if there is a gateway of its family.
[[nodiscard]] bool has_route(const PortConfig& port, const IpAddr& addr);
// An endpoint to listen on: checked, and no clash with a gateway. "[::]" and "0.0.0.0" are every
// address, of both families and of IPv4.
bool check_listen_address(const Endpoint& e, const toml::node& node, const std::string& name,
                          const PortConfig& port, Problem& problem);

}  // namespace weir::app
