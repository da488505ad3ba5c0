#include "head/nbd/handshake.hpp"

#include <algorithm>
#include <cassert>
#include <limits>

namespace head::nbd {

namespace {

using wire::Option;
using wire::OptionReplyType;

constexpr std::string_view base_allocation = "base:allocation";
constexpr std::uint32_t payload_cap = 32u << 20;

constexpr std::uint16_t known_flags =
    transmission_flag::has_flags | transmission_flag::read_only | transmission_flag::send_flush |
    transmission_flag::send_fua | transmission_flag::rotational | transmission_flag::send_trim |
    transmission_flag::send_write_zeroes | transmission_flag::send_df |
    transmission_flag::can_multi_conn | transmission_flag::send_cache |
    transmission_flag::send_fast_zero;

std::string printable(std::span<const std::byte> bytes) {
  constexpr std::size_t shown_max = 200;
  std::string text;
  for (const std::byte byte : bytes.first(std::min(bytes.size(), shown_max))) {
    const char c = static_cast<char>(byte);
    text += c >= ' ' && c <= '~' ? c : '?';
  }
  return text;
}

// What guests cannot reach of so many bytes; "" for nothing.
std::string out_of_reach(std::uint64_t size, std::uint32_t block) {
  constexpr std::uint32_t sector = 512;
  const std::uint32_t multiple = std::max(block, sector);
  const std::uint64_t last = size % multiple;
  if (last == 0) return {};
  const bool for_all = last == size % block;
  return "The export has " + std::to_string(size) + " bytes, not a multiple of " +
         std::to_string(for_all ? block : multiple) + ", so its last " + std::to_string(last) +
         " cannot be reached" +
         (for_all ? "." : " by guests that use sectors of 512 bytes, as virtual machines do.");
}

}  // namespace

ClientHandshake::ClientHandshake(std::string export_name) : name_(std::move(export_name)) {
  assert(name_.size() <= wire::string_max);
}

ClientHandshake::Step ClientHandshake::start() {
  return expect(State::hello, 16);
}

ClientHandshake::Step ClientHandshake::step(std::span<const std::byte> bytes) {
  out_.clear();
  switch (state_) {
    case State::hello:
      return on_hello(bytes);
    case State::oldstyle:
      return on_oldstyle(bytes);
    case State::flags:
      return on_flags(bytes);
    case State::reply_header:
      return on_reply_header(bytes);
    case State::reply_body:
      return on_reply(bytes);
    case State::export_name_reply:
      return on_export_name_reply(bytes);
    case State::over:
      break;
  }
  const bool good = failure_ == HandshakeFailure::none;
  return {.what = good ? Step::What::done : Step::What::failed, .send = {}, .expect = 0};
}

ClientHandshake::Step ClientHandshake::on_hello(std::span<const std::byte> bytes) {
  assert(bytes.size() == 16);
  const std::uint64_t magic = wire::load<be64>(bytes);
  const std::uint64_t style = wire::load<be64>(bytes.subspan(8));
  if (magic != wire::hello_magic) return fail(HandshakeFailure::not_nbd);
  if (style == wire::oldstyle_magic)
    return expect(State::oldstyle, sizeof(wire::OldstyleHello) - 16);
  if (style != wire::option_magic) return fail(HandshakeFailure::not_nbd);
  return expect(State::flags, sizeof(be16));
}

// There is no question to ask: what the server says is what there is, whatever its name.
ClientHandshake::Step ClientHandshake::on_oldstyle(std::span<const std::byte> bytes) {
  assert(bytes.size() == sizeof(wire::OldstyleHello) - 16);
  info_.size = wire::load<be64>(bytes);
  info_.flags = static_cast<std::uint16_t>(wire::load<be32>(bytes.subspan(8)));
  has_export_ = true;
  return conclude();
}

ClientHandshake::Step ClientHandshake::on_flags(std::span<const std::byte> bytes) {
  assert(bytes.size() == sizeof(be16));
  const std::uint16_t offered = wire::load<be16>(bytes);
  const std::uint32_t taken =
      offered & (wire::handshake_flag::fixed_newstyle | wire::handshake_flag::no_zeroes);
  no_zeroes_ = (taken & wire::handshake_flag::no_zeroes) != 0;
  put(be32(taken));
  const bool fixed = (taken & wire::handshake_flag::fixed_newstyle) != 0;
  return ask(fixed ? Option::structured_reply : Option::export_name);
}

ClientHandshake::Step ClientHandshake::on_reply_header(std::span<const std::byte> bytes) {
  assert(bytes.size() == sizeof(wire::OptionReply));
  const auto header = wire::load<wire::OptionReply>(bytes);
  if (header.magic != wire::option_reply_magic ||
      header.option != static_cast<std::uint32_t>(asked_))
    return fail(HandshakeFailure::bad_reply);
  if (header.length > reply_max) return fail(HandshakeFailure::reply_too_long);
  if (++replies_ > replies_max) return fail(HandshakeFailure::too_many_replies);

  reply_ = static_cast<OptionReplyType>(std::uint32_t{header.type});
  body_size_ = header.length;
  if (body_size_ == 0) return on_reply({});
  return expect(State::reply_body, body_size_);
}

ClientHandshake::Step ClientHandshake::on_reply(std::span<const std::byte> body) {
  assert(body.size() == body_size_);
  const bool refused = is_error(reply_);
  if (refused) {
    if (body.size() > wire::string_max) return fail(HandshakeFailure::reply_too_long);
    said_ = printable(body);
    // Whatever was asked, there is no going on after these two.
    if (reply_ == OptionReplyType::err_shutdown)
      return fail_softly(HandshakeFailure::shutting_down);
    if (reply_ == OptionReplyType::err_tls_reqd) return fail_softly(HandshakeFailure::tls_required);
  }
  if (reply_ == OptionReplyType::ack && !body.empty())
    return fail(HandshakeFailure::unexpected_reply);

  if (asked_ == Option::structured_reply) return on_structured_reply(refused);
  if (asked_ == Option::set_meta_context) return on_meta_context(body, refused);
  return on_go(body);
}

ClientHandshake::Step ClientHandshake::on_structured_reply(bool refused) {
  if (refused) return ask(Option::go);
  if (reply_ != OptionReplyType::ack) return fail(HandshakeFailure::unexpected_reply);
  info_.structured_replies = true;
  return ask(Option::set_meta_context);
}

// One context was asked for, so at most one is granted; after an error, none is.
ClientHandshake::Step ClientHandshake::on_meta_context(std::span<const std::byte> body,
                                                       bool refused) {
  if (refused) info_.base_allocation = false;
  if (refused || reply_ == OptionReplyType::ack) return ask(Option::go);
  if (reply_ != OptionReplyType::meta_context || body.size() < sizeof(be32) ||
      info_.base_allocation)
    return fail(HandshakeFailure::unexpected_reply);

  const auto name = body.subspan(sizeof(be32));
  if (!std::ranges::equal(name, std::as_bytes(std::span(base_allocation))))
    return fail(HandshakeFailure::unexpected_reply);
  context_ = wire::load<be32>(body);
  info_.base_allocation = true;
  return expect(State::reply_header, sizeof(wire::OptionReply));
}

ClientHandshake::Step ClientHandshake::on_go(std::span<const std::byte> body) {
  if (is_error(reply_)) return on_go_error();
  if (reply_ == OptionReplyType::info) {
    if (!on_info(body)) return fail(HandshakeFailure::unexpected_reply);
    return expect(State::reply_header, sizeof(wire::OptionReply));
  }
  if (reply_ != OptionReplyType::ack) return fail(HandshakeFailure::unexpected_reply);
  return conclude();
}

ClientHandshake::Step ClientHandshake::on_go_error() {
  switch (reply_) {
    case OptionReplyType::err_unsup:
      // An old server. What it may have said before the error does not count.
      has_export_ = has_block_sizes_ = false;
      return ask(Option::export_name);
    case OptionReplyType::err_unknown:
      return fail_softly(HandshakeFailure::export_unknown);
    case OptionReplyType::err_block_size_reqd:
      return fail_softly(HandshakeFailure::block_size_required);
    default:
      return fail_softly(HandshakeFailure::refused);
  }
}

// False where a piece of information has a length that its type does not have. Types that are not
// known are ignored, as the specification demands.
bool ClientHandshake::on_info(std::span<const std::byte> body) {
  if (body.size() < sizeof(be16)) return false;
  const std::uint16_t type = wire::load<be16>(body);
  switch (static_cast<wire::Info>(type)) {
    case wire::Info::export_: {
      if (body.size() != sizeof(wire::InfoExport)) return false;
      const auto info = wire::load<wire::InfoExport>(body);
      info_.size = info.size;
      info_.flags = info.flags;
      has_export_ = true;
      return true;
    }
    case wire::Info::block_size: {
      if (body.size() != sizeof(wire::InfoBlockSize)) return false;
      const auto info = wire::load<wire::InfoBlockSize>(body);
      info_.block_minimum = info.minimum;
      info_.block_preferred = info.preferred;
      info_.payload_maximum = info.payload_maximum;
      has_block_sizes_ = true;
      return true;
    }
    case wire::Info::name:
    case wire::Info::description:
      return body.size() - sizeof(be16) <= wire::string_max;
  }
  return true;
}

ClientHandshake::Step ClientHandshake::on_export_name_reply(std::span<const std::byte> bytes) {
  assert(bytes.size() >= sizeof(wire::ExportNameReply));
  const auto reply = wire::load<wire::ExportNameReply>(bytes);
  info_.size = reply.size;
  info_.flags = reply.flags;
  has_export_ = true;
  return conclude();
}

ClientHandshake::Step ClientHandshake::conclude() {
  if (!has_export_) return fail(HandshakeFailure::no_export_info);
  if (!has_block_sizes_) {
    info_.block_minimum = 512;
    info_.block_preferred = 4096;
    info_.payload_maximum = payload_cap;
  }
  if (!block_sizes_are_sound(info_)) return fail(HandshakeFailure::bad_block_size);
  if (!info_.has(transmission_flag::has_flags)) return fail(HandshakeFailure::no_flags);

  const std::uint64_t beyond = info_.size % info_.block_minimum;
  if (info_.size > std::numeric_limits<std::int64_t>::max() || info_.size == beyond)
    return fail(HandshakeFailure::bad_size);
  note_ = out_of_reach(info_.size, info_.block_minimum);
  info_.size -= beyond;
  info_.block_preferred = std::min(info_.block_preferred, payload_cap);
  info_.payload_maximum = std::min(info_.payload_maximum, payload_cap);
  info_.payload_maximum -= info_.payload_maximum % info_.block_minimum;

  info_.flags &= known_flags;
  if (!info_.structured_replies)
    info_.flags &= static_cast<std::uint16_t>(~transmission_flag::send_df);
  if (!info_.has(transmission_flag::send_write_zeroes))
    info_.flags &= static_cast<std::uint16_t>(~transmission_flag::send_fast_zero);
  state_ = State::over;
  return {.what = Step::What::done, .send = out_, .expect = 0};
}

ClientHandshake::Step ClientHandshake::ask(Option option) {
  const auto name_size = static_cast<std::uint32_t>(name_.size());
  wire::OptionRequest request;
  request.option = static_cast<std::uint32_t>(option);
  asked_ = option;
  replies_ = 0;

  switch (option) {
    case Option::set_meta_context:
      request.length = static_cast<std::uint32_t>(3 * sizeof(be32) + name_size +  //
                                                  base_allocation.size());
      put(request);
      put(be32(name_size));
      put_text(name_);
      put(be32(1u));
      put(be32(static_cast<std::uint32_t>(base_allocation.size())));
      put_text(base_allocation);
      break;
    case Option::go:
      request.length = static_cast<std::uint32_t>(sizeof(be32) + name_size + 3 * sizeof(be16));
      put(request);
      put(be32(name_size));
      put_text(name_);
      put(be16(std::uint16_t{2}));
      put(be16(static_cast<std::uint16_t>(wire::Info::export_)));
      put(be16(static_cast<std::uint16_t>(wire::Info::block_size)));
      break;
    case Option::export_name:
      request.length = name_size;
      put(request);
      put_text(name_);
      return expect(State::export_name_reply,
                    sizeof(wire::ExportNameReply) + (no_zeroes_ ? 0 : wire::zeroes));
    default:
      put(request);
      break;
  }
  return expect(State::reply_header, sizeof(wire::OptionReply));
}

ClientHandshake::Step ClientHandshake::expect(State state, std::size_t bytes) {
  state_ = state;
  return {.what = Step::What::need, .send = out_, .expect = bytes};
}

ClientHandshake::Step ClientHandshake::fail(HandshakeFailure failure) {
  state_ = State::over;
  failure_ = failure;
  return {.what = Step::What::failed, .send = {}, .expect = 0};
}

ClientHandshake::Step ClientHandshake::fail_softly(HandshakeFailure failure) {
  ask(Option::abort);
  state_ = State::over;
  failure_ = failure;
  return {.what = Step::What::failed, .send = out_, .expect = 0};
}

template <class T>
void ClientHandshake::put(const T& value) {
  const auto bytes = wire::bytes_of(value);
  out_.insert(out_.end(), bytes.begin(), bytes.end());
}

void ClientHandshake::put_text(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  out_.insert(out_.end(), bytes.begin(), bytes.end());
}

}  // namespace head::nbd
