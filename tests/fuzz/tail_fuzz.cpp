// The fuzzer is the tail, from its first byte or from the first reply on: the first byte of the
// input says which. Whatever it says, every request comes back exactly once: answered, or
// unanswered when the connection is over.
#include "head/nbd/connection.hpp"
#include "tests/fuzz/messages.hpp"
#include "tests/sim/script_tail.hpp"

#include <array>
#include <deque>

using namespace head;
using nbd::Command;

namespace {

struct Asked final : nbd::Request {
  void on_done(int) noexcept override {}
  std::array<std::byte, 4096> bytes;
  std::array<nbd::Extent, 4> room;
  iovec part{};
  int returns = 0;
};

struct Head final : nbd::Connection::Owner {
  explicit Head(sim::SimIo& io) : connection(io, *this, options) {
    constexpr std::array commands{Command::read,  Command::write,        Command::flush,
                                  Command::trim,  Command::write_zeroes, Command::block_status,
                                  Command::cache, Command::read};
    for (const Command command : commands) {
      Asked& request = asked.emplace_back();
      request.command = command;
      request.offset = 4096;
      request.length = command == Command::flush ? 0 : 4096;
      request.part = {.iov_base = request.bytes.data(), .iov_len = request.bytes.size()};
      request.memory = {&request.part, 1};
      request.extents = request.room;
    }
  }

  void on_open() noexcept override {
    opened = true;
    const nbd::ExportInfo& info = connection.info();
    for (Asked& request : asked) {
      if (request.command == Command::block_status && !info.base_allocation) continue;
      ++sent;
      connection.submit(request);
    }
  }
  void on_answer(nbd::Request& request, int) noexcept override { returned(request); }
  void on_closed(const std::string&, nbd::RequestQueue unanswered) noexcept override {
    while (nbd::Request* request = unanswered.pop()) returned(*request);
  }
  bool interface_was_away(iouring::Instant) const noexcept override { return false; }
  void on_packets_lost(iouring::Instant) noexcept override {}
  void on_parked(iouring::Instant, iouring::Duration) noexcept override {}
  void returned(nbd::Request& request) {
    --sent;
    if (++static_cast<Asked&>(request).returns != 1) __builtin_trap();
  }

  nbd::ConnectionOptions options;
  std::deque<Asked> asked;
  nbd::Connection connection;
  bool opened = false;
  int sent = 0;
};

// ---- What tails say -----------------------------------------------------------------------------

namespace wire = nbd::wire;
using fuzz::one_of;
using head::be16, head::be32, head::be64;
using sim::operator<<;

std::size_t length_of(std::span<const std::byte> rest) {
  if (rest.size() >= 8 && wire::load<be64>(rest) == wire::hello_magic) {
    const bool old = rest.size() >= 16 && wire::load<be64>(rest.subspan(8)) == wire::oldstyle_magic;
    return old ? sizeof(wire::OldstyleHello) : sizeof(wire::NewstyleHello);
  }
  if (rest.size() >= sizeof(wire::OptionReply) &&
      wire::load<be64>(rest) == wire::option_reply_magic)
    return sizeof(wire::OptionReply) + std::size_t{wire::load<wire::OptionReply>(rest).length};
  if (rest.size() >= 4 && wire::load<be32>(rest) == wire::simple_reply_magic)
    return sizeof(wire::SimpleReply);
  if (rest.size() >= sizeof(wire::StructuredReply) &&
      wire::load<be32>(rest) == wire::structured_reply_magic)
    return sizeof(wire::StructuredReply) +
           std::size_t{wire::load<wire::StructuredReply>(rest).length};
  return 0;
}

sim::Bytes option_reply(std::mt19937_64& random) {
  using Type = wire::OptionReplyType;
  const auto option = one_of(random, wire::Option::structured_reply, wire::Option::set_meta_context,
                             wire::Option::go, wire::Option::go, wire::Option::list);
  sim::Bytes body;
  auto type = one_of(random, Type::ack, Type::info, Type::info, Type::meta_context);
  if (random() % 4 == 0) type = static_cast<Type>(1u << 31 | (1 + random() % 10));
  if (type == Type::meta_context) {
    body << be32(7u) << std::string_view("base:allocation");
  } else if (type == Type::info && random() % 2 == 0) {
    wire::InfoExport info;
    info.size = one_of(random, std::uint64_t{1} << 20, std::uint64_t{513}, std::uint64_t{8192});
    info.flags = one_of(random, sim::all_flags, static_cast<std::uint16_t>(random()));
    body << info;
  } else if (type == Type::info) {
    wire::InfoBlockSize info;
    info.minimum = one_of(random, 1u, 512u, 4096u);
    info.preferred = one_of(random, 512u, 4096u);
    info.payload_maximum = one_of(random, 4096u, 32u << 20, ~0u);
    body << info;
  } else if (type != Type::ack) {
    body << std::string_view("sorry");
  }
  sim::Bytes all;
  sim::option_reply(all, option, type, body);
  return all;
}

std::uint32_t some_error(std::mt19937_64& random) {
  return one_of(random, 5u, 22u, 28u, 75u, 95u, 108u, 0u, 9999u);
}

// A chunk of an answer to one of the requests, which are all of the same range.
sim::Bytes chunk(std::mt19937_64& random) {
  using Chunk = wire::Chunk;
  const auto type =
      one_of(random, Chunk::none, Chunk::offset_data, Chunk::offset_hole, Chunk::offset_hole,
             Chunk::block_status, Chunk::error, Chunk::error_offset);
  const auto offset = static_cast<std::uint32_t>(random() % 9) * 512;
  const be64 at = 4096 + std::uint64_t{offset};
  sim::Bytes body;
  if (type == Chunk::offset_data) {
    body << at;
    body.insert(body.end(), 1 + random() % 600, std::byte{'d'});
  } else if (type == Chunk::offset_hole) {
    body << at << be32(one_of(random, 4096u - std::min(offset, 4095u), 512u, 4096u));
  } else if (type == Chunk::block_status) {
    body << be32(random() % 8 == 0 ? 8u : 7u);
    for (auto extents = 1 + random() % 6; extents != 0; --extents)
      body << be32(one_of(random, 512u, 4096u, 1u << 20))
           << be32(static_cast<std::uint32_t>(random() % 4));
  } else if (type != Chunk::none) {
    body << be32(some_error(random)) << be16(std::uint16_t{2}) << std::string_view("no");
    if (type == Chunk::error_offset) body << at;
  }
  const auto request = static_cast<std::uint32_t>(random() % 9);
  const bool done = type == Chunk::none || random() % 2 == 0;
  sim::Bytes all;
  all << sim::chunk(type, static_cast<std::uint32_t>(body.size()), done, sim::cookie_of(request));
  all.insert(all.end(), body.begin(), body.end());
  return all;
}

sim::Bytes said(std::mt19937_64& random) {
  sim::Bytes all;
  const auto dice = random() % 8;
  if (dice == 0) return option_reply(random);
  if (dice < 5) return chunk(random);
  wire::SimpleReply reply;
  reply.error = random() % 2 == 0 ? 0 : some_error(random);
  reply.cookie = sim::cookie_of(static_cast<std::uint32_t>(random() % 9));
  all << reply;
  if (random() % 4 == 0) all.insert(all.end(), 4096, std::byte{'d'});  // As if to a READ.
  return all;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  return fuzz::mutate(data, size, max_size, seed, {.length = length_of, .make = said});
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  sim::Bytes script;
  if ((data[0] & 1) != 0) script = sim::greeting((data[0] & 2) != 0);
  const auto rest = std::as_bytes(std::span(data, size)).subspan(1);
  script.insert(script.end(), rest.begin(), rest.end());
  sim::SimIo io(data[0], {.partial = 0.2, .stall = 0.1},
                [&] { return std::make_unique<sim::ScriptTail>(script); });
  Head head(io);
  head.connection.open({}, {}, "x");
  for (int steps = 0; steps < 20'000 && io.step(); ++steps) {
  }
  if ((data[0] & 1) != 0 && !head.opened) __builtin_trap();
  head.connection.fail("the input is over");
  for (int steps = 0; head.connection.state() != nbd::Connection::State::closed; ++steps)
    if (steps == 20'000 || !io.step()) __builtin_trap();
  if (head.sent != 0 || io.sockets_open() != 0) __builtin_trap();
  return 0;
}
