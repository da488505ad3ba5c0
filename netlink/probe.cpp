#include "netlink/probe.hpp"

#include "netlink/link.hpp"
#include "netlink/message.hpp"
#include "netlink/table.hpp"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <system_error>

namespace netlink {

namespace {

void make_veth(Socket& socket, const std::string& name) {
  const ifinfomsg header{};
  const auto error =
      socket.request([&](std::uint16_t flags, std::uint32_t sequence, std::vector<std::byte>& out) {
        Message()
            .start(RTM_NEWLINK, flags | NLM_F_CREATE | NLM_F_EXCL, sequence, header)
            .put(IFLA_IFNAME, name)
            .open(IFLA_LINKINFO)
            .put(IFLA_INFO_KIND, std::string("veth"))
            .close()
            .append_to(out);
      });
  if (error) throw std::system_error(error, "cannot make a veth pair");
}

// `number` makes the address: each question is put to an entry of its own.
Neighbour write_and_read(Table& table, Entry entry, std::uint8_t number) {
  entry.key.address = {0xfe, 0x80};
  entry.key.address.back() = number;
  entry.lladdr = {0x02, 0, 0, 0, 0, 0x01};
  Neighbour found;
  if (table.set({&entry, 1}).empty()) table.get(entry.key, found);
  return found;
}

}  // namespace

Capabilities probe_capabilities() {
  Capabilities found;
  try {
    run_in_namespace({}, [&] {
      Table table;
      make_veth(table.socket(), "probe0");
      std::vector<Link> links;
      dump_links(table.socket(), links);
      for (const Link& link : links) {
        if (link.name != "probe0") continue;
        const NeighbourKey on{link.ifindex, {}};
        const Neighbour plain = write_and_read(table, {.key = on}, 1);
        const Neighbour validated = write_and_read(table, {.key = on, .validated = true}, 2);
        // The kernel resolves such an entry by itself, and heeds no link-layer address with it.
        const Neighbour managed =
            write_and_read(table, {.key = on, .state = nud::none, .managed = true}, 3);
        found.protocol = plain.ours();
        found.ext_learned = plain.flags & ntf::ext_learned;
        found.validated = validated.ext_flags & ntf::ext_validated;
        found.managed = managed.ext_flags & ntf::ext_managed;
      }
    });
  } catch (const std::system_error& error) {
    found.problem = error.what();
  }
  return found;
}

}  // namespace netlink
