#include "netlink/format.hpp"
#include "netlink/parse.hpp"

#include <catch2/catch.hpp>

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <random>
#include <sys/socket.h>
#include <vector>

using namespace netlink;

namespace {

// A message built by hand, independent of what the room itself builds with.
class Built {
 public:
  template <class Header>
  explicit Built(const Header& header) {
    append(&header, sizeof header);
  }
  Built& attribute(std::uint16_t type, const std::vector<std::uint8_t>& value) {
    const nlattr header{static_cast<std::uint16_t>(sizeof(nlattr) + value.size()), type};
    append(&header, sizeof header);
    append(value.data(), value.size());
    return *this;
  }
  Bytes bytes() const { return bytes_; }

 private:
  void append(const void* data, std::size_t size) {
    const auto* begin = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), begin, begin + size);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  }
  std::vector<std::byte> bytes_;
};

std::vector<std::uint8_t> u32(std::uint32_t value) {
  std::vector<std::uint8_t> bytes(4);
  std::memcpy(bytes.data(), &value, 4);
  return bytes;
}

ndmsg neighbour_header() {
  ndmsg header{};
  header.ndm_family = AF_INET6;
  header.ndm_ifindex = 7;
  header.ndm_state = nud::stale;
  header.ndm_flags = ntf::ext_learned;
  return header;
}

const std::vector<std::uint8_t> some_address{0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0,
                                             0,    0, 0,    0,    0, 0, 0, 5};

}  // namespace

TEST_CASE("a neighbour is read from its message", "[netlink]") {
  Built built(neighbour_header());
  built.attribute(NDA_DST, some_address)
      .attribute(NDA_LLADDR, {2, 0, 0, 0, 0, 9})
      .attribute(12, {our_protocol})
      .attribute(15, u32(ntf::ext_validated));
  const auto found = parse_neighbour(built.bytes());
  REQUIRE(found);
  CHECK(to_string(found->key.address) == "2001:db8::5");
  CHECK(found->key.ifindex == 7);
  CHECK(found->lladdr == parse_mac("02:00:00:00:00:09"));
  CHECK(found->state == nud::stale);
  CHECK(found->ours());
  CHECK(found->ext_flags == ntf::ext_validated);

  SECTION("cut anywhere, it is not misread") {
    for (std::size_t size = 0; size < built.bytes().size(); ++size) {
      const std::vector<std::byte> cut(built.bytes().begin(),
                                       built.bytes().begin() + static_cast<std::ptrdiff_t>(size));
      const auto part = parse_neighbour(cut);
      if (part) CHECK(part->key == found->key);
    }
  }
}

TEST_CASE("what is no IPv6 neighbour is nothing", "[netlink]") {
  CHECK(!parse_neighbour({}));
  CHECK(!parse_neighbour(Built(neighbour_header()).bytes()));
  ndmsg arp = neighbour_header();
  arp.ndm_family = AF_INET;
  CHECK(!parse_neighbour(Built(arp).attribute(NDA_DST, {10, 0, 0, 1}).bytes()));
  CHECK(!parse_neighbour(Built(neighbour_header()).attribute(NDA_DST, {10, 0, 0, 1}).bytes()));
}

TEST_CASE("an address of this host is read, with its flags of 32 bits", "[netlink]") {
  ifaddrmsg header{};
  header.ifa_family = AF_INET6;
  header.ifa_index = 7;
  header.ifa_prefixlen = 64;
  header.ifa_flags = IFA_F_TENTATIVE;
  Built built(header);
  built.attribute(IFA_ADDRESS, some_address);
  REQUIRE(parse_address(built.bytes()));
  CHECK(parse_address(built.bytes())->tentative());
  CHECK(!parse_address(built.bytes())->duplicate());
  built.attribute(IFA_FLAGS, u32(IFA_F_DADFAILED | IFA_F_NOPREFIXROUTE));
  const auto found = parse_address(built.bytes());
  REQUIRE(found);
  CHECK(found->ifindex == 7);
  CHECK(found->bits == 64);
  CHECK(to_string(found->address) == "2001:db8::5");
  CHECK(found->duplicate());
  CHECK(!found->tentative());
  CHECK(!parse_address(Built(header).bytes()));
  header.ifa_family = AF_INET;
  CHECK(!parse_address(Built(header).attribute(IFA_ADDRESS, some_address).bytes()));
}

TEST_CASE("a route's MTU and MSS are read", "[netlink]") {
  rtmsg header{};
  header.rtm_family = AF_INET6;
  header.rtm_type = RTN_UNICAST;
  std::vector<std::uint8_t> metrics{8, 0, RTAX_MTU, 0, 0, 5, 0, 0};
  const std::vector<std::uint8_t> mss{8, 0, RTAX_ADVMSS, 0, 0xc4, 4, 0, 0};
  metrics.insert(metrics.end(), mss.begin(), mss.end());
  const auto found = parse_route(Built(header).attribute(RTA_METRICS, metrics).bytes());
  REQUIRE(found);
  CHECK(found->mtu == 1280);
  CHECK(found->advmss == 1220);
  CHECK(parse_route(Built(header).bytes())->mtu == 0);
}

TEST_CASE("only our routes to one address over one next hop are ours", "[netlink][routes]") {
  const std::vector<std::uint8_t> hop{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
  rta_cacheinfo times{};
  times.rta_expires = 59'999;  // Hundredths of a second.
  std::vector<std::uint8_t> cache(sizeof times);
  std::memcpy(cache.data(), &times, sizeof times);
  rtmsg header{};
  header.rtm_family = AF_INET6;
  header.rtm_dst_len = 128;
  header.rtm_protocol = our_protocol;
  header.rtm_type = RTN_UNICAST;
  const auto parsed = [&](const rtmsg& with) {
    return parse_host_route(Built(with)
                                .attribute(RTA_DST, some_address)
                                .attribute(RTA_GATEWAY, hop)
                                .attribute(RTA_OIF, u32(7))
                                .attribute(RTA_CACHEINFO, cache)
                                .bytes());
  };
  const auto found = parsed(header);
  REQUIRE(found);
  CHECK(found->address == *parse_ip6("2001:db8::5"));
  CHECK(found->next_hop == NeighbourKey{7, *parse_ip6("fe80::7")});
  CHECK(found->lease == std::chrono::seconds(599));
  CHECK(parse_route(Built(header).bytes())->protocol == our_protocol);
  CHECK(!parse_host_route(Built(header).attribute(RTA_DST, some_address).bytes()));
  const auto but = [&](auto change) {
    rtmsg other = header;
    change(other);
    return parsed(other).has_value();
  };
  CHECK(!but([](rtmsg& h) { h.rtm_dst_len = 64; }));
  CHECK(!but([](rtmsg& h) { h.rtm_protocol = RTPROT_STATIC; }));
  CHECK(!but([](rtmsg& h) { h.rtm_type = RTN_UNREACHABLE; }));
  CHECK(!but([](rtmsg& h) { h.rtm_family = AF_INET; }));
}

TEST_CASE("a bridge's word about its port is no word about the interface", "[netlink]") {
  ifinfomsg header{};
  header.ifi_index = 7;
  const std::vector<std::uint8_t> name{'h', 'e', 'a', 'd', '0', 0};
  CHECK(parse_link(Built(header).attribute(IFLA_IFNAME, name).bytes()));
  header.ifi_family = AF_BRIDGE;
  CHECK(!parse_link(Built(header).attribute(IFLA_IFNAME, name).bytes()));
}

TEST_CASE("a link-layer address of another size is absent", "[netlink]") {
  Built built(neighbour_header());
  built.attribute(NDA_DST, some_address).attribute(NDA_LLADDR, std::vector<std::uint8_t>(20, 1));
  const auto found = parse_neighbour(built.bytes());
  REQUIRE(found);
  CHECK(!found->lladdr);
}

TEST_CASE("an attribute that claims to be longer than its message ends it", "[netlink]") {
  std::vector<std::byte> bytes(8);
  const nlattr liar{200, NDA_DST};
  std::memcpy(bytes.data(), &liar, sizeof liar);
  int seen = 0;
  for_each_attribute(Bytes(bytes), [&](int, Bytes) { ++seen; });
  CHECK(seen == 0);
  const nlattr empty{0, NDA_DST};
  std::memcpy(bytes.data(), &empty, sizeof empty);
  for_each_attribute(Bytes(bytes), [&](int, Bytes) { ++seen; });
  CHECK(seen == 0);
}

TEST_CASE("messages of a datagram are taken apart, at any alignment", "[netlink]") {
  std::vector<std::byte> bytes(1);
  for (std::uint32_t i = 0; i < 3; ++i) {
    const nlmsghdr header{NLMSG_HDRLEN + 4, RTM_NEWNEIGH, 0, i, 9};
    const auto* begin = reinterpret_cast<const std::byte*>(&header);
    bytes.insert(bytes.end(), begin, begin + sizeof header);
    bytes.insert(bytes.end(), 4, std::byte(i));
  }
  std::uint32_t seen = 0;
  for_each_message(Bytes(bytes).subspan(1), [&](const MessageView& message) {
    CHECK(message.sequence == seen);
    CHECK(message.port == 9);
    REQUIRE(message.payload.size() == 4);
    CHECK(message.payload[0] == std::byte(seen));
    ++seen;
  });
  CHECK(seen == 3);
}

TEST_CASE("noise is survived", "[netlink][property]") {
  const auto seed = GENERATE(range(0u, 300u));
  CAPTURE(seed);
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(random() % 300);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random() % (seed % 2 ? 256 : 24));
  std::size_t seen = 0;
  for_each_message(Bytes(bytes),
                   [&](const MessageView& message) { seen += message.payload.size(); });
  for_each_attribute(Bytes(bytes), [&](int, Bytes value) { seen += value.size(); });
  CHECK(seen <= 2 * bytes.size());
  parse_neighbour(bytes);
  parse_link(bytes);
  parse_route(bytes);
  parse_host_route(bytes);
  if (const auto prefix = parse_prefix(bytes)) CHECK(prefix->bits <= 128);
  parse_table(bytes);
}
