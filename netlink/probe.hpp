// What this kernel's neighbour table can do, found out by doing it and reading it back, with
// entries that are there for some microseconds, on the loopback interface where that takes them;
// never by the kernel's version.
#pragma once

#include <string>

namespace netlink {

struct Capabilities {
  bool protocol = true;     // NDA_PROTOCOL is kept: entries can be told to be ours.
  bool ext_learned = true;  // NTF_EXT_LEARNED is kept: entries are exempt from collection.
  bool validated = false;   // NTF_EXT_EXT_VALIDATED is kept.
  bool managed = false;     // NTF_EXT_MANAGED is kept: the kernel refreshes an entry by itself.
  std::string problem;      // Why nothing could be found out, if so; then the above are a guess.
};

// In the caller's network namespace; needs CAP_NET_ADMIN there and nothing else, as headd.service
// gives it.
Capabilities probe_capabilities();

}  // namespace netlink
