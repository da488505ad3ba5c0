#include "tests/sim/nbd_server.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace sim {

using head::be16;
using head::be32;
using head::be64;
using head::nbd::Command;
namespace wire = head::nbd::wire;
namespace command_flag = head::nbd::command_flag;
namespace transmission_flag = head::nbd::transmission_flag;

namespace {

void drop(Bytes& from, std::size_t size) {
  from.erase(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(size));
}

}  // namespace

bool NbdServer::on_bytes(Bytes& from_us, Bytes& to_us) {
  if (phase_ == Phase::over) return false;
  if (phase_ != Phase::transmission && !negotiate(from_us, to_us)) return false;
  if (phase_ != Phase::transmission) return true;
  collect(from_us);
  hangs_ = hangs_ || state_.options.silent || number_ <= state_.options.silent_up_to;
  if (hangs_) {
    asked_.clear();
    cookies_.clear();
  }
  if (state_.options.in_turns && state_.complaints.empty()) answer_reads_in_turns(to_us);
  for (; state_.options.lose != 0 && !asked_.empty(); --state_.options.lose)
    asked_.erase(asked_.begin());
  while (!asked_.empty()) {
    const std::size_t which =
        chance(state_.options.shuffle)
            ? std::uniform_int_distribution<std::size_t>(0, asked_.size() - 1)(random_)
            : 0;
    const Asked asked = asked_[which];
    asked_.erase(asked_.begin() + static_cast<std::ptrdiff_t>(which));
    cookies_.erase(asked.header.cookie);
    if (asked.header.type == static_cast<std::uint16_t>(Command::disconnect)) {
      phase_ = Phase::over;
      return false;
    }
    answer(asked, to_us);
  }
  return true;
}

bool NbdServer::negotiate(Bytes& from_us, Bytes& to_us) {
  if (phase_ == Phase::fresh) {
    number_ = ++state_.connections;
    wire::NewstyleHello hello;
    hello.flags = std::uint16_t{3};
    to_us << hello;
    phase_ = Phase::flags;
  }
  if (phase_ == Phase::flags && from_us.size() >= 4) {
    drop(from_us, 4);
    phase_ = Phase::options;
  }
  while (phase_ == Phase::options && from_us.size() >= sizeof(wire::OptionRequest)) {
    const auto head = wire::load<wire::OptionRequest>(from_us);
    const std::size_t whole = sizeof head + head.length;
    if (from_us.size() < whole) break;
    drop(from_us, whole);
    if (!option(static_cast<wire::Option>(std::uint32_t{head.option}), to_us)) return false;
  }
  return true;
}

bool NbdServer::option(wire::Option number, Bytes& to_us) {
  using Reply = wire::OptionReplyType;
  switch (number) {
    case wire::Option::structured_reply:
      structured_ = state_.options.structured;
      option_reply(to_us, number, structured_ ? Reply::ack : Reply::err_unsup);
      return true;
    case wire::Option::set_meta_context: {
      Bytes context;
      context << be32(7u) << std::string_view("base:allocation");
      option_reply(to_us, number, Reply::meta_context, context);
      option_reply(to_us, number, Reply::ack);
      return true;
    }
    case wire::Option::go: {
      Bytes info;
      wire::InfoExport what;
      what.size = state_.data.size();
      what.flags = state_.options.flags;
      info << what;
      option_reply(to_us, number, Reply::info, info);
      if (state_.options.block_minimum != 0) {
        wire::InfoBlockSize sizes;
        sizes.minimum = state_.options.block_minimum;
        sizes.preferred = std::max(4096u, state_.options.block_minimum);
        sizes.payload_maximum = state_.options.payload_maximum;
        Bytes block_info;
        block_info << sizes;
        option_reply(to_us, number, Reply::info, block_info);
      }
      option_reply(to_us, number, Reply::ack);
      phase_ = Phase::transmission;
      return true;
    }
    case wire::Option::abort:
      option_reply(to_us, number, Reply::ack);
      return false;
    default:
      option_reply(to_us, number, Reply::err_unsup);
      return true;
  }
}

void NbdServer::collect(Bytes& from_us) {
  while (from_us.size() >= sizeof(wire::Request)) {
    const auto header = head::nbd::decode_request(
        std::span<const std::byte, sizeof(wire::Request)>(from_us.data(), sizeof(wire::Request)));
    if (!header) {
      state_.complaints.push_back("bad request magic");
      return;
    }
    const bool write = header->type == static_cast<std::uint16_t>(Command::write);
    const std::size_t whole = sizeof(wire::Request) + (write ? header->length : 0);
    if (from_us.size() < whole) return;
    Asked asked{.header = *header, .payload = {}};
    asked.payload.assign(from_us.begin() + sizeof(wire::Request),
                         from_us.begin() + static_cast<std::ptrdiff_t>(whole));
    drop(from_us, whole);
    check(asked);
    asked_.push_back(std::move(asked));
  }
}

void NbdServer::check(const Asked& asked) {
  const auto& header = asked.header;
  const auto complain = [&](const std::string& what) {
    state_.complaints.push_back(what + " at " + std::to_string(header.offset) + "+" +
                                std::to_string(header.length));
  };
  if (!cookies_.insert(header.cookie).second) complain("a cookie twice");
  const auto command = static_cast<Command>(header.type);
  if (command == Command::flush || command == Command::disconnect) {
    if (header.offset != 0 || header.length != 0) complain("a flush of a range");
    return;
  }
  const std::uint64_t block =
      std::max(1u, state_.options.block_minimum == 0 ? 512u : state_.options.block_minimum);
  if (header.length == 0) complain("nothing asked");
  const bool may_df = command == Command::read && structured_ &&
                      (state_.options.flags & transmission_flag::send_df) != 0;
  if ((header.flags & command_flag::df) != 0 && !may_df) complain("DF that was not offered");
  if (!head::nbd::inside(header.offset, header.length, 0, state_.data.size()))
    complain("beyond the end");
  if (header.offset % block != 0 || header.length % block != 0) complain("unaligned");
  const bool payload = command == Command::read || command == Command::write;
  if (payload && header.length > state_.options.payload_maximum) complain("too long");
}

void NbdServer::apply(TailState& state, const Asked& asked) {
  const auto& header = asked.header;
  const auto change = [&](Bytes& data) {
    const auto from = data.begin() + static_cast<std::ptrdiff_t>(header.offset);
    if (header.type == static_cast<std::uint16_t>(Command::write))
      std::copy(asked.payload.begin(), asked.payload.end(), from);
    else
      std::fill_n(from, header.length, std::byte{0});
  };
  switch (static_cast<Command>(header.type)) {
    case Command::write:
      ++state.writes;
      [[fallthrough]];
    case Command::write_zeroes:
      change(state.data);
      if (!state.stable.empty() && (header.flags & command_flag::fua) != 0) change(state.stable);
      break;
    case Command::flush:
      ++state.flushes;
      if (!state.stable.empty()) state.stable = state.data;
      break;
    case Command::cache:
      state.cached += header.length;
      break;
    default:
      break;  // TRIM keeps what is there, as it may.
  }
}

bool NbdServer::comes_late(const Asked& asked) {
  const auto command = static_cast<Command>(asked.header.type);
  const bool flush = command == Command::flush;
  if (!flush && command != Command::write && command != Command::write_zeroes) return false;
  if (!chance(flush ? state_.options.late_flush : state_.options.late)) return false;
  if (flush) apply(state_, asked);
  const auto most = std::chrono::microseconds(state_.options.late_most).count();
  const auto after = std::uniform_int_distribution<std::int64_t>(0, most)(random_);
  state_.late.push_back({state_.now + std::chrono::microseconds(after), asked, this});
  return true;
}

void NbdServer::carry_out_late(TailState& state, SimIo& io) {
  state.now = io.now();
  for (std::size_t i = 0; i < state.late.size();) {
    if (state.late[i].due > state.now) {
      ++i;
      continue;
    }
    const TailState::Late late = std::move(state.late[i]);
    state.late.erase(state.late.begin() + static_cast<std::ptrdiff_t>(i));
    if (late.asked.header.type != static_cast<std::uint16_t>(Command::flush))
      apply(state, late.asked);
    Bytes answer;
    if (late.server != nullptr) late.server->reply(late.asked, 0, answer);
    if (late.server != nullptr) io.say(*late.server, answer);
  }
}

void NbdServer::crash(TailState& state, SimIo& io) {
  constexpr std::size_t block = 512;
  const bool all = io.chance(0.5);
  for (std::size_t at = 0; at < state.data.size(); at += block) {
    if (!all && io.chance(0.5)) continue;
    const auto from = static_cast<std::ptrdiff_t>(at);
    std::copy_n(state.stable.begin() + from, block, state.data.begin() + from);
  }
  state.stable = state.data;
  state.late.clear();
  for (NbdServer* server : state.servers) {
    server->phase_ = Phase::over;
    io.hang_up(*server);
  }
}

NbdServer::~NbdServer() {
  state_.servers.erase(this);
  for (auto& late : state_.late)
    if (late.server == this) late.server = nullptr;
}

void NbdServer::answer(const Asked& asked, Bytes& to_us) {
  if (!state_.complaints.empty()) return reply(asked, EINVAL, to_us);
  if (chance(state_.options.shutdown)) return reply(asked, ESHUTDOWN, to_us);
  const auto command = static_cast<Command>(asked.header.type);
  if (command == Command::read) ++state_.reads;
  if (command == Command::block_status) ++state_.statuses;
  if (too_long(asked.header)) return reply(asked, EOVERFLOW, to_us);
  if (command == Command::read) return answer_read(asked, to_us);
  if (command != Command::block_status) {
    if (comes_late(asked)) return;
    apply(state_, asked);
    return reply(asked, 0, to_us);
  }
  wire::BlockDescriptor extent;
  extent.length = asked.header.length;
  to_us << chunk(wire::Chunk::block_status, 4 + 8, true, asked.header.cookie) << be32(7u) << extent;
}

bool NbdServer::too_long(const head::nbd::RequestHeader& header) const {
  const TailOptions& options = state_.options;
  const bool whole = (header.flags & command_flag::df) != 0;
  switch (static_cast<Command>(header.type)) {
    case Command::read:
      return header.length > (whole ? options.unfragmented_max : options.read_max);
    case Command::write:
      return false;
    default:
      return header.length > options.effect_max;
  }
}

void NbdServer::reply(const Asked& asked, std::uint32_t error, Bytes& to_us) const {
  const bool read = asked.header.type == static_cast<std::uint16_t>(Command::read);
  if (structured_ && read) {
    to_us << chunk(wire::Chunk::error, 6 + 4, true, asked.header.cookie) << be32(error)
          << be16(std::uint16_t{4}) << std::string_view("oops");
    return;
  }
  wire::SimpleReply simple;
  simple.error = error;
  simple.cookie = asked.header.cookie;
  to_us << simple;
}

// Zeroes may be holes; any order, unless DF forbids it.
void NbdServer::answer_read(const Asked& asked, Bytes& to_us) {
  const auto& header = asked.header;
  const auto* data = state_.data.data() + header.offset;
  if (!structured_) {
    reply(asked, 0, to_us);
    to_us.insert(to_us.end(), data, data + header.length);
    return;
  }
  std::uint32_t left = header.length;
  for (const auto& stretch : stretches(header)) {
    left -= stretch.second;
    put_stretch(header, stretch, left == 0, to_us);
  }
}

void NbdServer::put_stretch(const head::nbd::RequestHeader& header, Stretches::value_type stretch,
                            bool last, Bytes& to_us) const {
  const auto [from, size] = stretch;
  const be64 offset = header.offset + from;
  const auto* data = state_.data.data() + header.offset + from;
  const bool whole = (header.flags & command_flag::df) != 0;
  const bool hole =
      !whole && std::all_of(data, data + size, [](std::byte byte) { return byte == std::byte{0}; });
  if (hole) {
    to_us << chunk(wire::Chunk::offset_hole, 12, last, header.cookie) << offset << be32(size);
    return;
  }
  to_us << chunk(wire::Chunk::offset_data, 8 + size, last, header.cookie) << offset;
  to_us.insert(to_us.end(), data, data + size);
}

void NbdServer::answer_reads_in_turns(Bytes& to_us) {
  std::vector<std::pair<Asked, Stretches>> reads;
  std::size_t longest = 0;
  for (const Asked& asked : asked_) {
    if (asked.header.type != static_cast<std::uint16_t>(Command::read)) continue;
    reads.emplace_back(asked, stretches(asked.header));
    longest = std::max(longest, reads.back().second.size());
    cookies_.erase(asked.header.cookie);
    ++state_.reads;
  }
  std::erase_if(asked_, [](const Asked& asked) {
    return asked.header.type == static_cast<std::uint16_t>(Command::read);
  });
  for (std::size_t i = 0; i < longest; ++i)
    for (const auto& [asked, all] : reads)
      if (i < all.size()) put_stretch(asked.header, all[i], i + 1 == all.size(), to_us);
}

NbdServer::Stretches NbdServer::stretches(const head::nbd::RequestHeader& header) {
  Stretches all;
  if ((header.flags & command_flag::df) != 0) return {{0, header.length}};
  if (const std::uint32_t each = state_.options.stretch; each != 0) {
    for (const std::uint32_t first : {each, 0u})
      for (std::uint32_t from = first; from < header.length; from += 2 * each)
        all.emplace_back(from, std::min(each, header.length - from));
    return all;
  }
  for (std::uint32_t from = 0; from < header.length;) {
    const std::uint32_t left = header.length - from;
    const std::uint32_t size =
        chance(0.6) ? left : std::uniform_int_distribution<std::uint32_t>(1, left)(random_);
    all.emplace_back(from, size);
    from += size;
  }
  if (chance(0.5)) std::shuffle(all.begin(), all.end(), random_);
  return all;
}

}  // namespace sim
