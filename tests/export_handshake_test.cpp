// A guest's bytes against the server's handshake, and what is answered.
#include "head/export/server_handshake.hpp"
#include "tests/memory_volume.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace head;
using namespace head::exports;
using nbd::wire::Option;
using nbd::wire::OptionReplyType;
using What = ServerHandshake::Step::What;
namespace flag = nbd::transmission_flag;

namespace {

class Bytes {
 public:
  template <class T>
  Bytes& put(const T& value) {
    const auto bytes = nbd::wire::bytes_of(value);
    all.insert(all.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Bytes& text(std::string_view text) {
    for (const char c : text) all.push_back(static_cast<std::byte>(c));
    return *this;
  }
  Bytes& string(std::string_view string) {
    return put(be32(static_cast<std::uint32_t>(string.size()))).text(string);
  }
  std::vector<std::byte> all;
};

Bytes go(std::string_view name, std::initializer_list<std::uint16_t> infos = {}) {
  Bytes data = Bytes().string(name).put(be16(static_cast<std::uint16_t>(infos.size())));
  for (const std::uint16_t info : infos) data.put(be16(info));
  return data;
}
Bytes meta(std::string_view name, std::initializer_list<std::string_view> queries) {
  Bytes data = Bytes().string(name).put(be32(static_cast<std::uint32_t>(queries.size())));
  for (const auto query : queries) data.string(query);
  return data;
}

struct Reply {
  OptionReplyType type;
  std::vector<std::byte> body;
};

// A guest that speaks as the script says.
class Guest {
 public:
  explicit Guest(const nbd::Volume& volume, std::uint32_t flags = 3) : server("disk", volume) {
    step = server.start();
    CHECK(step.send.size() == 18);
    CHECK(step.expect == 4);
    feed(Bytes().put(be32(flags)).all);
  }

  void feed(const std::vector<std::byte>& bytes) {
    step = server.step(bytes);
    sent.assign(step.send.begin(), step.send.end());
  }

  void option(Option number, const Bytes& data = {}) {
    REQUIRE(step.what == What::need);
    REQUIRE(step.expect == 16);
    nbd::wire::OptionRequest request;
    request.option = static_cast<std::uint32_t>(number);
    request.length = static_cast<std::uint32_t>(data.all.size());
    feed(Bytes().put(request).all);
    if (data.all.empty()) return;
    if (step.what == What::skip) return feed({});
    REQUIRE(step.what == What::need);
    REQUIRE(step.expect == data.all.size());
    feed(data.all);
  }

  // What was sent, taken apart; each to the option that was asked.
  std::vector<Reply> replies(Option option) const {
    std::vector<Reply> replies;
    std::span<const std::byte> rest = sent;
    while (!rest.empty()) {
      const auto header = nbd::wire::load<nbd::wire::OptionReply>(rest);
      REQUIRE(header.magic == nbd::wire::option_reply_magic);
      REQUIRE(header.option == static_cast<std::uint32_t>(option));
      rest = rest.subspan(sizeof header);
      REQUIRE(rest.size() >= header.length);
      const auto body = rest.first(header.length);
      replies.push_back(
          {static_cast<OptionReplyType>(std::uint32_t{header.type}), {body.begin(), body.end()}});
      rest = rest.subspan(header.length);
    }
    return replies;
  }
  OptionReplyType last(Option option) const {
    const auto all = replies(option);
    REQUIRE(!all.empty());
    return all.back().type;
  }

  ServerHandshake server;
  ServerHandshake::Step step;
  std::vector<std::byte> sent;
};

}  // namespace

TEST_CASE("GO describes the disc and begins the transmission", "[export]") {
  tests::MemoryVolume volume(1 << 20);
  volume.described.block_preferred = 65536;
  Guest guest(volume);
  guest.option(Option::structured_reply);
  CHECK(guest.last(Option::structured_reply) == OptionReplyType::ack);
  guest.option(Option::go, go("disk", {1, 3, 77}));
  CHECK(guest.step.what == What::transmit);

  const auto replies = guest.replies(Option::go);
  REQUIRE(replies.size() == 4);
  const auto info = nbd::wire::load<nbd::wire::InfoExport>(replies[0].body);
  CHECK(info.size == 1 << 20);
  CHECK(info.flags == guest.server.terms().flags);
  const auto sizes = nbd::wire::load<nbd::wire::InfoBlockSize>(replies[2].body);
  CHECK(sizes.minimum == 1);
  CHECK(sizes.preferred == 65536);
  CHECK(sizes.payload_maximum == 32 << 20);
  CHECK(replies[3].type == OptionReplyType::ack);
  CHECK(replies[3].body.empty());
}

TEST_CASE("The flags are what the volume can, and what the export adds", "[export]") {
  tests::MemoryVolume volume(4096, flag::has_flags | flag::send_flush | flag::can_multi_conn);
  SECTION("CAN_MULTI_CONN always, SEND_DF with structured replies") {
    Guest guest(volume);
    guest.option(Option::go, go(""));
    CHECK(guest.server.terms().flags ==
          (flag::has_flags | flag::send_flush | flag::can_multi_conn));
    Guest other(volume);
    other.option(Option::structured_reply);
    other.option(Option::go, go(""));
    CHECK((other.server.terms().flags & flag::send_df) != 0);
  }
  SECTION("a read-only disc offers nothing that writes") {
    volume.described.flags = tests::MemoryVolume::all_flags | flag::read_only;
    Guest guest(volume);
    guest.option(Option::go, go(""));
    CHECK((guest.server.terms().flags & flag::read_only) != 0);
    CHECK((guest.server.terms().flags &
           (flag::send_trim | flag::send_write_zeroes | flag::send_fast_zero)) == 0);
  }
}

TEST_CASE("EXPORT_NAME is answered by the description, or by hanging up", "[export]") {
  tests::MemoryVolume volume(1 << 20);
  Guest guest(volume);
  guest.option(Option::export_name, Bytes().text("disk"));
  CHECK(guest.step.what == What::transmit);
  CHECK(guest.sent.size() == 10);

  Guest old(volume, 1);  // Without NO_ZEROES.
  old.option(Option::export_name);
  CHECK(old.sent.size() == 134);

  Guest stranger(volume);
  stranger.option(Option::export_name, Bytes().text("other"));
  CHECK(stranger.step.what == What::close);
  CHECK(stranger.sent.empty());
}

TEST_CASE("LIST names the one export; ABORT is acknowledged", "[export]") {
  tests::MemoryVolume volume(1 << 20);
  volume.known = false;  // Neither needs to know the disc.
  Guest guest(volume);
  guest.option(Option::list);
  const auto replies = guest.replies(Option::list);
  REQUIRE(replies.size() == 2);
  CHECK(replies[0].body == Bytes().string("disk").all);
  guest.option(Option::list, Bytes().text("x"));
  CHECK(guest.last(Option::list) == OptionReplyType::err_invalid);
  guest.option(Option::abort, Bytes().text("whatever"));
  CHECK(guest.last(Option::abort) == OptionReplyType::ack);
  CHECK(guest.step.what == What::close);
}

TEST_CASE("base:allocation is listed and selected where the volume has it", "[export]") {
  tests::MemoryVolume volume(1 << 20);
  Guest guest(volume);
  guest.option(Option::set_meta_context, meta("disk", {"base:allocation"}));
  CHECK(guest.last(Option::set_meta_context) == OptionReplyType::err_invalid);  // Too early.
  guest.option(Option::structured_reply);

  const auto listed = [&](std::initializer_list<std::string_view> queries) {
    guest.option(Option::list_meta_context, meta("disk", queries));
    return guest.replies(Option::list_meta_context).size() - 1;
  };
  CHECK(listed({}) == 1);
  CHECK(listed({"base:"}) == 1);
  CHECK(listed({"base:allocation"}) == 1);
  CHECK(listed({"qemu:dirty-bitmap:x", "base:other"}) == 0);

  const auto selected = [&](std::initializer_list<std::string_view> queries) {
    guest.option(Option::set_meta_context, meta("", queries));
    CHECK(guest.last(Option::set_meta_context) == OptionReplyType::ack);
    return guest.server.terms().base_allocation;
  };
  CHECK(!selected({"base:"}));
  CHECK(selected({"x-y:z", "base:allocation"}));
  CHECK(!selected({}));
  CHECK(selected({"base:allocation"}));
  guest.option(Option::set_meta_context, meta("other", {"base:allocation"}));
  CHECK(guest.last(Option::set_meta_context) == OptionReplyType::err_unknown);
  CHECK(!guest.server.terms().base_allocation);  // Replaced, even by a failure.

  volume.described.base_allocation = false;
  CHECK(!selected({"base:allocation"}));
}

TEST_CASE("What is malformed is invalid, and the guest may go on", "[export]") {
  tests::MemoryVolume volume(1 << 20);
  Guest guest(volume);
  guest.option(Option::structured_reply, Bytes().text("x"));
  CHECK(guest.last(Option::structured_reply) == OptionReplyType::err_invalid);
  CHECK(!guest.server.terms().structured_replies);
  guest.option(Option::structured_reply);

  Bytes trailing = go("disk", {3}).text("x"), cut = go("disk", {3}), long_name;
  cut.all.pop_back();
  long_name.put(be32(0xffffffffu)).text("disk");
  for (const Bytes& data : {trailing, cut, long_name, Bytes().text("x"), Bytes().put(be32(0u)),
                            Bytes().string(std::string(4097, 'x')).put(be16(std::uint16_t{0}))}) {
    guest.option(Option::go, data);
    CHECK(guest.last(Option::go) == OptionReplyType::err_invalid);
  }
  Bytes too_many = Bytes().string("disk").put(be32(0xffffffffu)).string("base:allocation");
  guest.option(Option::set_meta_context, too_many);
  CHECK(guest.last(Option::set_meta_context) == OptionReplyType::err_invalid);
  guest.option(Option::go, go("other"));
  CHECK(guest.last(Option::go) == OptionReplyType::err_unknown);
  guest.option(Option::starttls);
  CHECK(guest.last(Option::starttls) == OptionReplyType::err_unsup);
  guest.option(static_cast<Option>(4711), Bytes().text("what"));
  CHECK(guest.last(static_cast<Option>(4711)) == OptionReplyType::err_unsup);
  guest.option(Option::info, go("disk"));
  CHECK(guest.last(Option::info) == OptionReplyType::ack);
  guest.option(Option::go, go("disk"));
  CHECK(guest.step.what == What::transmit);
}

TEST_CASE("Too much data with an option is skipped, not stored", "[export]") {
  tests::MemoryVolume volume(1 << 20);
  Guest guest(volume);
  nbd::wire::OptionRequest request;
  request.option = static_cast<std::uint32_t>(Option::info);
  request.length = 0xffffffffu;
  guest.feed(Bytes().put(request).all);
  CHECK(guest.step.what == What::skip);
  CHECK(guest.step.expect == 0xffffffffu);
  guest.feed({});
  CHECK(guest.last(Option::info) == OptionReplyType::err_too_big);
  guest.option(Option::go, go("disk"));
  CHECK(guest.step.what == What::transmit);
}

TEST_CASE("A guest that speaks another protocol, or never decides, is hung up on", "[export]") {
  tests::MemoryVolume volume(1 << 20);
  CHECK(Guest(volume, 4).step.what == What::close);
  CHECK(Guest(volume, 0x80000003).step.what == What::close);

  Guest garbled(volume);
  garbled.feed(Bytes().text("GET / HTTP/1.1\r\n").all);
  CHECK(garbled.step.what == What::close);

  Guest endless(volume);
  for (unsigned i = 0; i < ServerHandshake::options_max; ++i) endless.option(Option::list);
  nbd::wire::OptionRequest request;
  request.option = static_cast<std::uint32_t>(Option::list);
  endless.feed(Bytes().put(request).all);
  CHECK(endless.step.what == What::close);
}

TEST_CASE("Who asks about a disc that is not known yet waits for it", "[export]") {
  tests::MemoryVolume volume(1 << 20);
  volume.known = false;
  Guest guest(volume);
  guest.option(Option::structured_reply);
  guest.option(Option::set_meta_context, meta("disk", {"base:allocation"}));
  REQUIRE(guest.step.what == What::wait);
  CHECK(guest.sent.empty());
  volume.known = true;
  guest.step = guest.server.resume();
  CHECK(guest.server.terms().base_allocation);

  volume.known = false;
  guest.option(Option::go, go("disk"));
  REQUIRE(guest.step.what == What::wait);
  volume.known = true;
  guest.step = guest.server.resume();
  CHECK(guest.step.what == What::transmit);

  // It was not to speak meanwhile.
  volume.known = false;
  Guest hasty(volume);
  hasty.option(Option::go, go("disk"));
  hasty.feed(Bytes().text("x").all);
  CHECK(hasty.step.what == What::close);
}
