#include "netlink/probe.hpp"

#include "netlink/table.hpp"

#include <array>
#include <net/if.h>
#include <system_error>
#include <unistd.h>

namespace netlink {

namespace {

// Link-local, so that no route is touched, and of this process, so that two may probe at once. On
// the loopback interface nobody is ever asked for it. `number`: each question is put to an entry of
// its own.
NeighbourKey place(int ifindex, std::uint8_t number) {
  const auto pid = static_cast<std::uint32_t>(::getpid());
  return {ifindex,
          {0xfe, 0x80, 0, 0, 0, 0, 0, 0, our_protocol, 0, static_cast<std::uint8_t>(pid >> 24),
           static_cast<std::uint8_t>(pid >> 16), static_cast<std::uint8_t>(pid >> 8),
           static_cast<std::uint8_t>(pid), 0, number}};
}

// What becomes of the entry; one without a state where it is refused, for `error`.
Neighbour write_and_read(Table& table, const Entry& entry, std::error_code& error) {
  Neighbour found;
  const auto refused = table.set({&entry, 1});
  error = refused.empty() ? std::error_code() : refused.front().error;
  if (!error) table.get(entry.key, found);
  table.remove({&entry.key, 1});
  return found;
}

}  // namespace

Capabilities probe_capabilities() {
  Capabilities found;
  try {
    const int lo = static_cast<int>(::if_nametoindex("lo"));
    if (lo == 0) throw std::system_error(ENODEV, std::system_category(), "there is no lo");
    constexpr Mac somebody{0x02, 0, 0, 0, 0, 0x01};
    Table table;
    // Exempt from collection, it is made even where the table is full.
    std::error_code error;
    const Neighbour learned =
        write_and_read(table, {.key = place(lo, 1), .lladdr = somebody}, error);
    if (error) throw std::system_error(error, "cannot make a neighbour entry on lo");
    found.protocol = learned.ours();
    found.ext_learned = (learned.flags & ntf::ext_learned) != 0;
    const Neighbour validated =
        write_and_read(table, {.key = place(lo, 2), .lladdr = somebody, .validated = true}, error);
    found.validated = (validated.ext_flags & ntf::ext_validated) != 0;
    // The kernel resolves such an entry by itself, and heeds no link-layer address with it.
    const Neighbour managed = write_and_read(
        table, {.key = place(lo, 3), .lladdr = somebody, .state = nud::none, .managed = true},
        error);
    found.managed = (managed.ext_flags & ntf::ext_managed) != 0;
  } catch (const std::system_error& error) {
    found.problem = error.what();
  }
  return found;
}

}  // namespace netlink
