// Whatever arrives on a netlink socket, parsing it neither reads past it nor trips over it.
#include "netlink/format.hpp"
#include "netlink/parse.hpp"

#include <cstdint>
#include <cstdlib>
#include <linux/rtnetlink.h>

namespace {

void expect(bool holds) {
  if (!holds) std::abort();
}

void parse(const netlink::MessageView& message) {
  using namespace netlink;
  switch (message.type) {
    case NLMSG_ERROR:
    case NLMSG_DONE:
      parse_error(message.payload);
      return;
    case RTM_NEWLINK:
    case RTM_DELLINK:
      if (const auto link = parse_link(message.payload))
        expect(!link->name.empty() && link->name.size() < 16 && link->ifindex > 0);
      return;
    case RTM_NEWADDR:
      if (const auto address = parse_address(message.payload)) expect(address->bits <= 128);
      return;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      parse_route(message.payload);
      parse_host_route(message.payload);
      if (const auto prefix = parse_prefix(message.payload))
        expect(contains(*prefix, prefix->address));
      return;
    case RTM_NEWNEIGHTBL:
      if (const TablePart part = parse_table(message.payload); part.device)
        expect(part.device->ifindex > 0);
      return;
    default:
      if (const auto neighbour = parse_neighbour(message.payload)) {
        const Desired desired{neighbour->key, neighbour->lladdr, true};
        judge(desired, &*neighbour);
        expect(to_line(*neighbour, "eth0").size() < 200);
      }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const netlink::Bytes datagram(reinterpret_cast<const std::byte*>(data), size);
  std::size_t seen = 0;
  netlink::for_each_message(datagram, [&](const netlink::MessageView& message) {
    seen += message.payload.size() + sizeof(nlmsghdr);
    expect(seen <= size);
    parse(message);
  });
  return 0;
}
