// What a disc is told when it is made, and cannot be changed.
#pragma once

#include "head/disc/first_block.hpp"
#include "head/disc/guard.hpp"
#include "head/disc/identity.hpp"
#include "head/disc/standing.hpp"
#include "head/nbd/export_info.hpp"

#include <netinet/in.h>
#include <optional>
#include <string>

namespace head::disc {

struct DiscOptions {
  std::string name;
  sockaddr_in6 tail{};
  std::string interface {};  // That leads to the tail; empty: as the route says.
  std::string export_name;
  bool read_only = false;
  // More than one only where the tail says CAN_MULTI_CONN, and not in mode replay.
  unsigned connections = 1;
  Identity identity = Identity::shape;
  iouring::Duration looks_apart = FirstBlock::looks_apart;
  Standing standing{};
  // What its tail has offered before, if that is known: guests are told so at once, and a tail that
  // offers less is not taken for the disc.
  std::optional<nbd::ExportInfo> shape{};
  GuardOptions guard{};
  // inherit() follows, and may bring connections to go on with: before that none is made, as the
  // tail may take one client at a time, or keep what is written to each for itself.
  bool awaits_connections = false;
  // A tail closes a connection only when its workers have ended with what came over it.
  bool tail_closes_last = false;
};

}  // namespace head::disc
