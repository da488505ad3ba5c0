#include "tests/sim/world/tail_session.hpp"

#include "tests/sim/script_tail.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>

namespace world {

using head::be16;
using head::be32;
using head::be64;
using head::nbd::Command;
using sim::operator<<;
namespace wire = head::nbd::wire;
namespace flag = head::nbd::transmission_flag;

void Tail::Session::greet() {
  greeted = true;
  wire::NewstyleHello hello;
  hello.flags = std::uint16_t{3};
  phase_ = Phase::flags;
  stream_.say(wire::bytes_of(hello));
  if (!stream_.peer_open()) hang_up(true);
}

void Tail::Session::on_bytes(Stream&) {
  if (over_ || tail_.stopped_ || !greeted) return;
  if (phase_ != Phase::transmission) negotiate();
  if (phase_ == Phase::transmission) collect();
}

void Tail::Session::on_over(Stream&, bool reset) {
  if (tail_.stopped_) return;  // It hears of that when it goes on.
  if (!tail_.manners_.outlives) stream_.take_incoming(stream_.incoming().size());
  over_ = true;
  tail_.keep_losses(*this);
  if (reset && (!cookies_.empty() || stream_.unheard() != 0 || stream_.unsaid() != 0))
    ++tail_.given_up_;
  if (tail_.manners_.one_client) tail_.greet_next();
}

void Tail::Session::resume() {
  on_bytes(stream_);
  if (stream_.head_gone() && !over_) on_over(stream_, true);
}

void Tail::Session::negotiate() {
  if (phase_ == Phase::flags && inbox_.bytes(stream_).size() >= 4) {
    inbox_.take(stream_, 4);
    phase_ = Phase::options;
  }
  while (phase_ == Phase::options && !over_) {
    const auto there = inbox_.bytes(stream_);
    if (there.size() < sizeof(wire::OptionRequest)) return;
    const auto head = wire::load<wire::OptionRequest>(there);
    const std::size_t whole = sizeof head + head.length;
    if (there.size() < whole) return;
    inbox_.take(stream_, whole);
    option(static_cast<wire::Option>(std::uint32_t{head.option}));
  }
}

void Tail::Session::option(wire::Option number) {
  using Reply = wire::OptionReplyType;
  Bytes out;
  switch (number) {
    case wire::Option::structured_reply:
      structured_ = tail_.manners_.structured;
      sim::option_reply(out, number, structured_ ? Reply::ack : Reply::err_unsup);
      break;
    case wire::Option::set_meta_context:
      if (tail_.manners_.base_allocation) {
        Bytes context;
        context << be32(7u) << std::string_view("base:allocation");
        sim::option_reply(out, number, Reply::meta_context, context);
      }
      sim::option_reply(out, number, Reply::ack);
      break;
    case wire::Option::go:
      agree_to_go(out);
      phase_ = Phase::transmission;
      break;
    case wire::Option::abort:
      sim::option_reply(out, number, Reply::ack);
      stream_.say(out);
      return hang_up(false);
    default:
      sim::option_reply(out, number, Reply::err_unsup);
  }
  stream_.say(out);
  if (!stream_.peer_open()) hang_up(true);
}

void Tail::Session::agree_to_go(Bytes& out) {
  const TailManners& manners = tail_.manners_;
  Bytes info;
  wire::InfoExport what;
  what.size = tail_.told_size();
  what.flags = manners.flags;
  if (tail_.change_ == Change::read_only) what.flags = manners.flags | flag::read_only;
  told_flags_ = what.flags;
  info << what;
  sim::option_reply(out, wire::Option::go, wire::OptionReplyType::info, info);
  if (manners.block_minimum != 0) {
    wire::InfoBlockSize sizes;
    sizes.minimum = manners.block_minimum;
    sizes.preferred = std::max(4096u, manners.block_minimum);
    sizes.payload_maximum = manners.payload_maximum;
    Bytes block_info;
    block_info << sizes;
    sim::option_reply(out, wire::Option::go, wire::OptionReplyType::info, block_info);
  }
  sim::option_reply(out, wire::Option::go, wire::OptionReplyType::ack);
}

void Tail::Session::collect() {
  while (!over_) {
    const auto there = inbox_.bytes(stream_);
    if (there.size() < sizeof(wire::Request)) return;
    const auto header = head::nbd::decode_request(there.first<sizeof(wire::Request)>());
    if (!header) {
      tail_.observer_.on_complaint("a request with a wrong magic number");
      return hang_up(true);
    }
    const auto command = static_cast<Command>(header->type);
    const std::size_t payload = command == Command::write ? header->length : 0;
    if (there.size() < sizeof(wire::Request) + payload) return inbox_.keep(stream_);
    const bool reaches =
        command == Command::flush ||
        header->offset + header->length > tail_.manners_.poison_from * Store::sector;
    if (command == Command::disconnect) return on_goodbye();
    if (tail_.manners_.poison == command && reaches) return hang_up(true);
    Job job{.session = this, .header = *header, .payload = {}, .read = {}, .covers = {}};
    const auto data = there.subspan(sizeof(wire::Request), payload);
    job.payload.assign(data.begin(), data.end());
    inbox_.take(stream_, sizeof(wire::Request) + payload);
    if (!check(*header)) return hang_up(true);
    cookies_.insert(header->cookie);
    if (!hangs) tail_.enqueue(std::move(job));
    if (++requests_ == tail_.manners_.requests_per_connection) return hang_up(true);
  }
}

// What was asked before is answered first.
void Tail::Session::on_goodbye() {
  parts_ = true;
  if (may_part()) hang_up(false);
}

bool Tail::Session::check(const head::nbd::RequestHeader& header) {
  const auto complain = [this](const char* what) {
    tail_.observer_.on_complaint(what);
    return false;
  };
  const auto command = static_cast<Command>(header.type);
  const TailManners& manners = tail_.manners_;
  if (cookies_.count(header.cookie) != 0) return complain("a cookie that is in use");
  if (command == Command::flush && (told_flags_ & flag::send_flush) == 0)
    return complain("an unknown FLUSH");
  if (command == Command::flush)
    return (header.offset == 0 && header.length == 0) || complain("a FLUSH of a range");
  if (header.length == 0) return complain("a request of no bytes");
  const std::uint64_t size = tail_.told_size();
  if (header.offset > size || header.length > size - header.offset)
    return complain("a request beyond the end");
  const std::uint64_t block = manners.block_minimum != 0 ? manners.block_minimum : 512;
  if (header.offset % block != 0 || header.length % block != 0)
    return complain("a request that is not aligned");
  const bool carries = command == Command::read || command == Command::write;
  if (carries && header.length > manners.payload_maximum) return complain("a payload too large");
  const auto needs = [&](std::uint16_t what) { return (told_flags_ & what) != 0; };
  const bool changes =
      command == Command::write || command == Command::trim || command == Command::write_zeroes;
  if (changes && needs(flag::read_only)) return complain("a change of a read-only disc");
  if (command == Command::cache && !needs(flag::send_cache)) return complain("an unknown CACHE");
  if ((header.flags & head::nbd::command_flag::df) != 0 && !needs(flag::send_df))
    return complain("an unknown DF");
  if (command == Command::trim && !needs(flag::send_trim)) return complain("an unknown TRIM");
  if (command == Command::write_zeroes && !needs(flag::send_write_zeroes))
    return complain("an unknown WRITE_ZEROES");
  if ((header.flags & head::nbd::command_flag::fua) != 0 && !needs(flag::send_fua))
    return complain("an unknown FUA");
  return true;
}

void Tail::Session::hang_up(bool reset) {
  if (over_) return;
  over_ = true;
  tail_.keep_losses(*this);
  stream_.hang_up(reset);
  tail_.drop_jobs(*this);
  if (tail_.manners_.one_client) tail_.greet_next();
}

void Tail::Session::lose() {
  over_ = true;
  tail_.keep_losses(*this);
  stream_.lose_peer();
}

void Tail::Session::reply(Job& job) {
  cookies_.erase(job.header.cookie);
  if (is_mute()) return;
  say_reply(job);
  if (!stream_.peer_open()) return hang_up(true);  // It was to break just there.
  if (const std::uint64_t loss = std::exchange(job.loss, 0); loss != 0)
    stream_.when_heard([&observer = tail_.observer_, loss](bool heard) {
      heard ? observer.on_loss_heard() : observer.on_loss_kept(loss);
    });
  if (job.refused)
    stream_.when_heard([&observer = tail_.observer_, header = job.header](bool heard) {
      if (heard) observer.on_refusal_heard(header);
    });
  if (may_part()) hang_up(false);
}

void Tail::Session::say_reply(Job& job) {
  Bytes out;
  bool twice = false;
  const auto command = static_cast<Command>(job.header.type);
  const bool data = command == Command::read && job.error == 0 && job.read.size() > 1;
  if (tail_.lies_ != 0 && (tail_.lie_ != Lie::in_part || (data && structured_))) {
    --tail_.lies_;
    if (tail_.lie_ == Lie::in_part) {
      put_data(job, 0, job.read.size() / 2, true, out);
      return stream_.say(out);
    }
    if (tail_.lie_ == Lie::twice)
      twice = true;
    else
      job.header.cookie ^= std::uint64_t{1} << 60;  // Nobody's.
  }
  if (structured_ && command == Command::read && job.error == 0 && tail_.manners_.scattered)
    return reply_scattered(job);
  const bool may_be_simple = command != Command::read && command != Command::block_status;
  if (structured_ && (!may_be_simple || tail_.dice_.chance(0.2))) {
    reply_structured(job, out);
  } else {
    wire::SimpleReply simple;
    simple.error = head::nbd::wire_from_errno(job.error);
    simple.cookie = job.header.cookie;
    out << simple;
    if (job.error == 0) out.insert(out.end(), job.read.begin(), job.read.end());
  }
  stream_.say(out);
  if (twice) stream_.say(out);
}

void Tail::Session::reply_structured(Job& job, Bytes& out) const {
  if (job.error != 0) {
    const bool at_once = tail_.dice_.chance(0.5);
    out << sim::chunk(wire::Chunk::error, 6 + 4, at_once, job.header.cookie)
        << be32(head::nbd::wire_from_errno(job.error)) << be16(std::uint16_t{4})
        << std::string_view("oops");
    if (!at_once) out << sim::chunk(wire::Chunk::none, 0, true, job.header.cookie);
    return;
  }
  if (static_cast<Command>(job.header.type) == Command::block_status) {
    return reply_status(job, out);
  }
  if (job.read.empty()) {
    out << sim::chunk(wire::Chunk::none, 0, true, job.header.cookie);
    return;
  }
  const bool whole = (job.header.flags & head::nbd::command_flag::df) != 0;
  const std::size_t size = job.read.size();
  std::size_t cut = size;
  if (!whole && size > 1 && tail_.dice_.chance(0.3)) cut = 1 + tail_.dice_.pick(size - 1);
  if (cut == size) return put_data(job, 0, size, true, out);
  const bool swapped = tail_.dice_.chance(0.5);
  put_data(job, swapped ? cut : 0, swapped ? size - cut : cut, false, out);
  put_data(job, swapped ? 0 : cut, swapped ? cut : size - cut, true, out);
}

// What reads as zeroes, sector by sector, and what may not.
void Tail::Session::reply_status(const Job& job, Bytes& out) const {
  constexpr std::uint32_t hole_and_zero = 3;
  const auto is_zero = [](std::span<const std::byte> bytes) {
    return std::all_of(bytes.begin(), bytes.end(),
                       [](std::byte byte) { return byte == std::byte{0}; });
  };
  std::vector<wire::BlockDescriptor> extents;
  std::uint32_t last = UINT32_MAX, at = 0;
  while (at < job.header.length) {
    const std::uint32_t size = std::min<std::uint32_t>(Store::sector, job.header.length - at);
    const std::uint64_t from = job.header.offset + at;
    const bool zero =
        own.count(from / Store::sector) == 0 && is_zero(tail_.store_.read(from, size));
    const std::uint32_t flags = zero ? hole_and_zero : 0;
    if (flags != last) {
      if (!extents.empty() && (job.header.flags & head::nbd::command_flag::req_one) != 0) break;
      extents.emplace_back();
      extents.back().flags = last = flags;
    }
    extents.back().length = extents.back().length + size;
    at += size;
  }
  if (tail_.manners_.overlong_extents && at >= job.header.length)
    extents.back().length = extents.back().length + 65536u;
  const bool at_once = tail_.dice_.chance(0.7);
  out << sim::chunk(wire::Chunk::block_status, static_cast<std::uint32_t>(4 + 8 * extents.size()),
                    at_once, job.header.cookie)
      << be32(7u);
  for (const auto& extent : extents) out << extent;
  if (!at_once) out << sim::chunk(wire::Chunk::none, 0, true, job.header.cookie);
}

// Every other stretch first, then those between them; not in pieces where DF forbids it.
void Tail::Session::reply_scattered(Job& job) {
  const bool whole = (job.header.flags & head::nbd::command_flag::df) != 0;
  const std::size_t each = whole ? job.read.size() : 64;
  std::deque<Bytes> pieces;
  std::size_t left = job.read.size();
  for (const std::size_t first : {each, std::size_t{0}})
    for (std::size_t from = first; from < job.read.size(); from += 2 * each) {
      const std::size_t size = std::min(each, job.read.size() - from);
      left -= size;
      put_data(job, from, size, left == 0, pieces.emplace_back());
    }
  pieces_.push_back(std::move(pieces));
  if (pieces_.size() == 1)
    tail_.clock_.after(std::chrono::microseconds(2), [this] { say_next_piece(); });
}

void Tail::Session::say_next_piece() {
  if (over_ || hangs || pieces_.empty()) return pieces_.clear();
  std::deque<Bytes> reply = std::move(pieces_.front());
  pieces_.pop_front();
  stream_.say(reply.front());
  reply.pop_front();
  if (!reply.empty()) pieces_.push_back(std::move(reply));
  if (!stream_.peer_open()) return hang_up(true);
  if (may_part()) return hang_up(false);
  if (!pieces_.empty())
    tail_.clock_.after(std::chrono::microseconds(1), [this] { say_next_piece(); });
}

void Tail::Session::put_data(const Job& job, std::size_t from, std::size_t size, bool last,
                             Bytes& out) const {
  const auto data = std::span(job.read).subspan(from, size);
  const be64 offset = job.header.offset + from;
  const bool whole = (job.header.flags & head::nbd::command_flag::df) != 0;
  if (!whole && data[0] == std::byte{0} &&
      std::all_of(data.begin(), data.end(), [](std::byte byte) { return byte == std::byte{0}; })) {
    out << sim::chunk(wire::Chunk::offset_hole, 12, last, job.header.cookie) << offset
        << be32(static_cast<std::uint32_t>(size));
    return;
  }
  out << sim::chunk(wire::Chunk::offset_data, static_cast<std::uint32_t>(8 + size), last,
                    job.header.cookie)
      << offset;
  out.insert(out.end(), data.begin(), data.end());
}

}  // namespace world
