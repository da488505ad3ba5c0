#include "tests/sim/world/guest.hpp"

#include "tests/sim/script_tail.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

namespace world {

using head::be16;
using head::be32;
using head::be64;
using head::nbd::Command;
using sim::operator<<;
namespace wire = head::nbd::wire;
namespace command_flag = head::nbd::command_flag;

constexpr std::chrono::milliseconds knocks_apart{20};

Guest::Guest(Clock& clock, Audit& audit, Owner& owner, unsigned number, const GuestManners& manners)
    : clock_(clock), audit_(audit), owner_(owner), number_(number), manners_(manners) {}

// ---- Its connection -----------------------------------------------------------------------------

void Guest::connect() {
  if (!lives_ || stream_ != nullptr) return;
  stream_ = owner_.knock(*this);
  if (stream_ == nullptr) return retry();
  if (manners_.window != 0) stream_->narrow(manners_.window);
  phase_ = Phase::hello;
  knocked_ = clock_.now();
}

void Guest::retry() {
  if (std::exchange(retrying_, true)) return;
  clock_.after(knocks_apart, [this] {
    retrying_ = false;
    connect();
  });
}

void Guest::on_over(Stream& stream, bool) {
  if (&stream != stream_) return;
  owner_.on_lost(*this);
  on_loss();
}

void Guest::on_loss() {
  stream_ = nullptr;
  inbox_.clear();
  unsaid_.clear();
  if (phase_ == Phase::ready) audit_.leave(number_);
  phase_ = Phase::away;
  structured_ = context_ = false;
  for (auto& [cookie, going] : asked_) going.read.clear(), going.extents.clear(), going.error = 0;
  if (!manners_.asks_again)
    for (auto& [cookie, going] : std::exchange(asked_, {})) audit_.abandon(*going.request);
  if (lives_) retry();
}

void Guest::end() {
  if (!lives_) return;
  lives_ = false;
  if (stream_ != nullptr) {
    if (phase_ == Phase::ready) audit_.leave(number_);
    std::exchange(stream_, nullptr)->hang_up(false);
  }
  for (auto& [cookie, going] : std::exchange(asked_, {})) audit_.abandon(*going.request);
}

void Guest::read(bool yes) {
  reads_ = yes;
  if (yes && stream_ != nullptr) on_bytes(*stream_);
}

bool Guest::greeted_late(Duration limit) const noexcept {
  return lives_ && stream_ != nullptr && phase_ != Phase::ready && clock_.now() - knocked_ > limit;
}

void Guest::come_anew() {
  if (!lives_ || stream_ == nullptr) return;
  stream_->hang_up(false);
  on_loss();
}

void Guest::say(const Bytes& bytes) {
  if (manners_.piece == 0) return stream_->say(bytes);
  const bool idle = unsaid_.empty();
  unsaid_.insert(unsaid_.end(), bytes.begin(), bytes.end());
  if (idle) say_piece();
}

void Guest::say_piece() {
  const std::size_t size = std::min(manners_.piece, unsaid_.size());
  stream_->say(std::span(unsaid_).first(size));
  unsaid_.erase(unsaid_.begin(), unsaid_.begin() + static_cast<std::ptrdiff_t>(size));
  if (unsaid_.empty()) return;
  clock_.after(manners_.pause, [this, stream = stream_] {
    if (stream == stream_ && !unsaid_.empty()) say_piece();
  });
}

// ---- The handshake ------------------------------------------------------------------------------

void Guest::on_bytes(Stream& stream) {
  if (&stream != stream_ || !reads_) return;
  if (manners_.window == 0) return read_all();
  if (std::exchange(about_to_read_, true)) return;
  clock_.after(manners_.pause, [this] {
    about_to_read_ = false;
    if (stream_ != nullptr && reads_) read_all();
  });
}

void Guest::read_all() {
  Stream* const stream = stream_;
  for (;;) {
    const std::size_t taken = parse(inbox_.bytes(*stream));
    if (stream != stream_) return;
    if (taken == 0) break;
    inbox_.take(*stream, taken);
  }
  inbox_.keep(*stream, manners_.window == 0 ? Stream::window : 1);
}

std::size_t Guest::parse(std::span<const std::byte> bytes) {
  if (phase_ == Phase::hello) {
    if (bytes.size() < sizeof(wire::NewstyleHello)) return 0;
    Bytes flags;
    flags << be32(3u);
    say(flags);
    phase_ = manners_.structured ? Phase::structured : Phase::go;
    next_option();
    return sizeof(wire::NewstyleHello);
  }
  if (phase_ != Phase::ready) return on_option_reply(bytes);
  if (bytes.size() < sizeof(wire::SimpleReply)) return 0;
  const std::uint32_t magic = wire::load<be32>(bytes);
  if (magic == wire::simple_reply_magic) return on_simple(bytes);
  if (magic == wire::structured_reply_magic) return on_chunk(bytes);
  complain("a reply without a magic number");
  return bytes.size();
}

void Guest::say_option(wire::Option option, const Bytes& body) {
  wire::OptionRequest head;
  head.option = static_cast<std::uint32_t>(option);
  head.length = static_cast<std::uint32_t>(body.size());
  Bytes all;
  all << head;
  all.insert(all.end(), body.begin(), body.end());
  say(all);
}

void Guest::next_option() {
  Bytes body;
  switch (phase_) {
    case Phase::structured:
      return say_option(wire::Option::structured_reply, body);
    case Phase::context:
      body << be32(0u) << be32(1u) << be32(15u) << std::string_view("base:allocation");
      return say_option(wire::Option::set_meta_context, body);
    default:
      body << be32(0u) << be16(std::uint16_t{0});
      return say_option(wire::Option::go, body);
  }
}

std::size_t Guest::on_option_reply(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(wire::OptionReply)) return 0;
  const auto head = wire::load<wire::OptionReply>(bytes);
  const std::size_t whole = sizeof head + head.length;
  if (bytes.size() < whole) return 0;
  const auto type = static_cast<wire::OptionReplyType>(std::uint32_t{head.type});
  if (type == wire::OptionReplyType::meta_context) context_ = true;
  if (type != wire::OptionReplyType::ack && !wire::is_error(type)) return whole;
  if (phase_ == Phase::structured) {
    structured_ = type == wire::OptionReplyType::ack;
    phase_ = structured_ ? Phase::context : Phase::go;
    next_option();
  } else if (phase_ == Phase::context) {
    phase_ = Phase::go;
    next_option();
  } else if (type == wire::OptionReplyType::ack) {
    phase_ = Phase::ready;
    audit_.join(number_);
    send_all();
  }
  return whole;
}

// ---- Requests -----------------------------------------------------------------------------------

void Guest::ask(const Ask& what) {
  if (!lives_) return;
  if (what.command == Command::block_status && phase_ == Phase::ready && !context_) return;
  const std::uint64_t cookie = ++cookies_;
  Going& going = asked_[cookie];
  going.request = &audit_.ask(number_, what);
  if (phase_ == Phase::ready) send(cookie, going);
}

// What was not agreed on, this time, is not asked.
void Guest::send_all() {
  std::erase_if(asked_, [this](const auto& one) {
    Audit::Request& request = *one.second.request;
    if (request.ask.command != Command::block_status || context_) return false;
    audit_.abandon(request);
    return true;
  });
  for (auto& [cookie, going] : asked_) send(cookie, going);
}

void Guest::send(std::uint64_t cookie, Going& going) {
  const Ask& ask = going.request->ask;
  wire::Request request;
  request.type = static_cast<std::uint16_t>(ask.command);
  std::uint16_t flags = ask.fua ? command_flag::fua : 0;
  if (ask.command == Command::block_status && cookie % 2 == 0) flags |= command_flag::req_one;
  request.flags = flags;
  request.cookie = cookie;
  request.offset = ask.offset();
  request.length = static_cast<std::uint32_t>(ask.bytes());
  Bytes all;
  all << request;
  if (ask.command == Command::write) {
    const std::size_t from = all.size();
    all.resize(from + ask.count * check::sector_bytes);
    check::fill(std::span(all).subspan(from), going.request->change, 0, ask.first);
  }
  say(all);
}

std::size_t Guest::on_simple(std::span<const std::byte> bytes) {
  const auto reply = wire::load<wire::SimpleReply>(bytes);
  const auto found = asked_.find(reply.cookie);
  if (found == asked_.end()) {
    audit_.note({.rule = check::Rule::repeated,
                 .sentence = "guest " + std::to_string(number_) +
                             " got an answer to what it had not asked, or had answered"});
    return bytes.size();
  }
  if (structured_ && found->second.request->ask.command == Command::read)
    complain("a simple reply to READ");
  const int error = head::nbd::errno_from_wire(reply.error);
  const Ask& ask = found->second.request->ask;
  std::size_t payload = 0;
  if (ask.command == Command::read && error == 0) payload = ask.bytes();
  if (bytes.size() < sizeof reply + payload) return 0;
  const auto data = bytes.subspan(sizeof reply, payload);
  found->second.read.assign(data.begin(), data.end());
  finish(reply.cookie, error);
  return sizeof reply + payload;
}

std::size_t Guest::on_chunk(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(wire::StructuredReply)) return 0;
  const auto head = wire::load<wire::StructuredReply>(bytes);
  const std::size_t whole = sizeof head + head.length;
  if (bytes.size() < whole) return 0;
  const auto found = asked_.find(head.cookie);
  if (found == asked_.end()) {
    audit_.note({.rule = check::Rule::repeated,
                 .sentence = "guest " + std::to_string(number_) +
                             " got a chunk of what it had not asked, or had answered"});
    return bytes.size();
  }
  if (!structured_) complain("a chunk that it did not agree to");
  Going& going = found->second;
  const Ask& ask = going.request->ask;
  const auto body = bytes.subspan(sizeof head, head.length);
  const std::uint64_t from = ask.offset();
  const auto type = static_cast<wire::Chunk>(std::uint16_t{head.type});
  if (ask.command == Command::read) going.read.resize(ask.bytes());
  if (type == wire::Chunk::offset_data || type == wire::Chunk::offset_hole) {
    const std::uint64_t offset = wire::load<be64>(body);
    const bool hole = type == wire::Chunk::offset_hole;
    const std::size_t size =
        hole ? std::uint32_t{wire::load<wire::OffsetHole>(body).size} : body.size() - sizeof offset;
    if (offset < from || offset - from + size > going.read.size()) {
      complain("a chunk outside its request");
      return bytes.size();
    }
    const auto to = going.read.begin() + static_cast<std::ptrdiff_t>(offset - from);
    if (hole)
      std::fill_n(to, size, std::byte{0});
    else
      std::copy(body.begin() + sizeof offset, body.end(), to);
  } else if (type == wire::Chunk::block_status) {
    for (std::size_t at = 4; at + sizeof(wire::BlockDescriptor) <= body.size();
         at += sizeof(wire::BlockDescriptor)) {
      const auto extent = wire::load<wire::BlockDescriptor>(body.subspan(at));
      going.extents.push_back({.length = extent.length, .flags = extent.flags});
    }
  } else if (wire::is_error(type)) {
    going.error = head::nbd::errno_from_wire(wire::load<be32>(body));
  }
  if ((head.flags & wire::reply_flag_done) != 0) finish(head.cookie, going.error);
  return whole;
}

void Guest::finish(std::uint64_t cookie, int error) {
  const Going going = std::move(asked_.at(cookie));
  asked_.erase(cookie);
  audit_.answer(*going.request, error, going.read, going.extents);
}

void Guest::complain(const char* what) {
  audit_.note({.rule = check::Rule::damaged,
               .sentence = "guest " + std::to_string(number_) + " got " + what});
}

}  // namespace world
