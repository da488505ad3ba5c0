#include "head/export/server_handshake.hpp"

#include <algorithm>
#include <cassert>
#include <optional>

namespace head::exports {

namespace {

using nbd::wire::Option;
using nbd::wire::OptionReplyType;
namespace flag = nbd::transmission_flag;

constexpr std::string_view base_allocation = "base:allocation";

// Takes an option's data apart, front to back. Nothing when there is less than asked for.
class Cutter {
 public:
  explicit Cutter(std::span<const std::byte> bytes) noexcept : rest_(bytes) {}

  bool empty() const noexcept { return rest_.empty(); }

  template <class T>
  std::optional<T> number() noexcept {
    if (rest_.size() < sizeof(T)) return std::nullopt;
    const T value = nbd::wire::load<T>(rest_);
    rest_ = rest_.subspan(sizeof(T));
    return value;
  }

  // A 32-bit length, and so many bytes.
  std::optional<std::string_view> text() noexcept {
    const auto length = number<be32>();
    if (!length || *length > rest_.size() || *length > nbd::wire::string_max) return std::nullopt;
    const auto bytes = rest_.first(*length);
    rest_ = rest_.subspan(*length);
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

 private:
  std::span<const std::byte> rest_;
};

}  // namespace

ServerHandshake::Step ServerHandshake::start() {
  nbd::wire::NewstyleHello hello;
  hello.flags = std::uint16_t{nbd::wire::handshake_flag::fixed_newstyle |
                              nbd::wire::handshake_flag::no_zeroes};
  out_.clear();
  put(hello);
  return {.what = Step::What::need, .send = out_, .expect = sizeof(be32)};
}

ServerHandshake::Pause ServerHandshake::pause() const {
  return {.state = state_,
          .no_zeroes = no_zeroes_,
          .options = static_cast<std::uint16_t>(options_),
          .option = static_cast<std::uint32_t>(option_),
          .length = static_cast<std::uint32_t>(length_),
          .body = state_ == State::waiting ? body_ : std::vector<std::byte>(),
          .terms = terms_};
}

std::optional<ServerHandshake::Step> ServerHandshake::go_on(const Pause& pause) {
  state_ = pause.state;
  no_zeroes_ = pause.no_zeroes;
  options_ = pause.options;
  option_ = static_cast<Option>(pause.option);
  length_ = pause.length;
  terms_ = pause.terms;
  body_ = pause.body;
  out_.clear();
  const bool may_wait = option_ == Option::export_name || option_ == Option::go ||
                        option_ == Option::info || option_ == Option::list_meta_context ||
                        option_ == Option::set_meta_context;
  switch (state_) {
    case State::flags:
      return Step{.what = Step::What::need, .send = {}, .expect = sizeof(be32)};
    case State::option:
      return next();
    case State::body:
      if (length_ == 0 || length_ > option_max) return std::nullopt;
      return Step{.what = Step::What::need, .send = {}, .expect = length_};
    case State::skipped:
      return Step{.what = Step::What::skip, .send = {}, .expect = length_};
    case State::waiting:
      if (!may_wait || body_.size() > option_max) return std::nullopt;
      return Step{.what = Step::What::wait, .send = {}, .expect = 0};
    case State::over:
      break;
  }
  return std::nullopt;
}

ServerHandshake::Step ServerHandshake::step(std::span<const std::byte> bytes) {
  out_.clear();
  switch (state_) {
    case State::flags:
      return on_flags(bytes);
    case State::option:
      return on_option(bytes);
    case State::body:
      assert(bytes.size() == length_);
      body_.assign(bytes.begin(), bytes.end());
      return on_body();
    case State::skipped:
      return on_skipped();
    case State::waiting:  // It owed nothing and yet spoke.
    case State::over:
      break;
  }
  return close();
}

ServerHandshake::Step ServerHandshake::resume() {
  assert(state_ == State::waiting);
  out_.clear();
  return on_body();
}

ServerHandshake::Step ServerHandshake::on_flags(std::span<const std::byte> bytes) {
  assert(bytes.size() == sizeof(be32));
  const std::uint32_t flags = nbd::wire::load<be32>(bytes);
  constexpr std::uint32_t known =
      nbd::wire::handshake_flag::fixed_newstyle | nbd::wire::handshake_flag::no_zeroes;
  if ((flags & ~known) != 0) return close();  // So the specification demands.
  no_zeroes_ = (flags & nbd::wire::handshake_flag::no_zeroes) != 0;
  return next();
}

ServerHandshake::Step ServerHandshake::on_option(std::span<const std::byte> bytes) {
  assert(bytes.size() == sizeof(nbd::wire::OptionRequest));
  const auto request = nbd::wire::load<nbd::wire::OptionRequest>(bytes);
  if (request.magic != nbd::wire::option_magic || ++options_ > options_max) return close();

  option_ = static_cast<Option>(std::uint32_t{request.option});
  length_ = request.length;
  body_.clear();
  if (length_ == 0) return on_body();
  state_ = length_ > option_max ? State::skipped : State::body;
  return {.what = length_ > option_max ? Step::What::skip : Step::What::need,
          .send = out_,
          .expect = length_};
}

ServerHandshake::Step ServerHandshake::on_skipped() {
  if (option_ == Option::export_name) return close();
  if (option_ == Option::set_meta_context) terms_.base_allocation = false;
  return answer(OptionReplyType::err_too_big, "too much data with the option");
}

ServerHandshake::Step ServerHandshake::on_body() {
  switch (option_) {
    case Option::export_name:
      return on_export_name();
    case Option::abort:
      reply(OptionReplyType::ack, 0);
      return close();
    case Option::list:
      return on_list();
    case Option::starttls:
      return answer(OptionReplyType::err_unsup, "TLS has no use on a Unix socket");
    case Option::info:
    case Option::go:
      return on_info();
    case Option::structured_reply:
      return on_structured_reply();
    case Option::list_meta_context:
    case Option::set_meta_context:
      return on_meta_context();
  }
  return answer(OptionReplyType::err_unsup, "unknown option");
}

// There is no answer that says no, other than to hang up.
ServerHandshake::Step ServerHandshake::on_export_name() {
  const std::string_view asked(reinterpret_cast<const char*>(body_.data()), body_.size());
  if (!is_ours(asked)) return close();
  if (volume_.info() == nullptr) return wait();

  nbd::wire::ExportNameReply described;
  described.size = volume_.info()->size;
  described.flags = flags_for_guest();
  put(described);
  if (!no_zeroes_) out_.insert(out_.end(), nbd::wire::zeroes, std::byte{0});
  return transmit();
}

ServerHandshake::Step ServerHandshake::on_list() {
  if (!body_.empty()) return answer(OptionReplyType::err_invalid, "LIST takes no data");
  reply(OptionReplyType::server, sizeof(be32) + name_.size());
  put(be32(static_cast<std::uint32_t>(name_.size())));
  put_text(name_);
  return answer(OptionReplyType::ack);
}

ServerHandshake::Step ServerHandshake::on_info() {
  Cutter cut(body_);
  const auto asked = cut.text();
  const auto count = cut.number<be16>();
  if (!asked || !count) return answer(OptionReplyType::err_invalid, "malformed option");
  bool wants_name = false, wants_block_size = false;
  for (unsigned i = 0; i < *count; ++i) {
    const auto wanted = cut.number<be16>();
    if (!wanted) return answer(OptionReplyType::err_invalid, "malformed option");
    const auto info = static_cast<nbd::wire::Info>(std::uint16_t{*wanted});
    wants_name |= info == nbd::wire::Info::name;
    wants_block_size |= info == nbd::wire::Info::block_size;
  }
  if (!cut.empty()) return answer(OptionReplyType::err_invalid, "malformed option");
  if (!is_ours(*asked)) return answer(OptionReplyType::err_unknown, "no such export");
  if (volume_.info() == nullptr) return wait();

  nbd::wire::InfoExport described;
  described.size = volume_.info()->size;
  described.flags = flags_for_guest();
  reply(OptionReplyType::info, sizeof described);
  put(described);
  if (wants_name) {
    reply(OptionReplyType::info, sizeof(be16) + name_.size());
    put(be16(static_cast<std::uint16_t>(nbd::wire::Info::name)));
    put_text(name_);
  }
  if (wants_block_size) {
    // Any alignment will do: the disc sees to what its tail demands.
    nbd::wire::InfoBlockSize sizes;
    sizes.minimum = 1u;
    sizes.preferred = std::clamp(volume_.info()->block_preferred, 4096u, payload_maximum);
    sizes.payload_maximum = payload_maximum;
    reply(OptionReplyType::info, sizeof sizes);
    put(sizes);
  }
  if (option_ == Option::info) return answer(OptionReplyType::ack);
  reply(OptionReplyType::ack, 0);
  return transmit();
}

ServerHandshake::Step ServerHandshake::on_structured_reply() {
  if (!body_.empty()) return answer(OptionReplyType::err_invalid, "STRUCTURED_REPLY takes no data");
  terms_.structured_replies = true;
  return answer(OptionReplyType::ack);
}

ServerHandshake::Step ServerHandshake::on_meta_context() {
  const bool set = option_ == Option::set_meta_context;
  if (set) terms_.base_allocation = false;  // Even where what follows is refused.
  if (!terms_.structured_replies)
    return answer(OptionReplyType::err_invalid, "structured replies come first");

  Cutter cut(body_);
  const auto asked = cut.text();
  const auto count = cut.number<be32>();
  if (!asked || !count) return answer(OptionReplyType::err_invalid, "malformed option");
  bool matches = *count == 0 && !set;  // LIST without a query means all.
  // A query takes four bytes at least: the option's bounded length bounds the loop.
  for (std::uint32_t i = 0; i < *count; ++i) {
    const auto query = cut.text();
    if (!query) return answer(OptionReplyType::err_invalid, "malformed option");
    matches |= *query == base_allocation || (!set && *query == "base:");
  }
  if (!cut.empty()) return answer(OptionReplyType::err_invalid, "malformed option");
  if (!is_ours(*asked)) return answer(OptionReplyType::err_unknown, "no such export");
  if (volume_.info() == nullptr) return wait();

  if (matches && volume_.info()->base_allocation) {
    terms_.base_allocation |= set;
    reply(OptionReplyType::meta_context, sizeof(be32) + base_allocation.size());
    put(be32(set ? base_allocation_id : 0));
    put_text(base_allocation);
  }
  return answer(OptionReplyType::ack);
}

// What the volume can, with two flags of the export's own:
//
// SEND_DF, because every read is answered in one chunk.
//
// CAN_MULTI_CONN, always. The specification asks that what a FLUSH or FUA covers be visible through
// every connection. All guests of a disc talk to one volume, which keeps no data of its own: a
// write that was answered is at the tail, and the next read asks the tail. A FLUSH is passed on
// after the writes that were answered before it, whichever guest made them; if the disc spreads its
// requests over several connections, then because its tail itself says CAN_MULTI_CONN.
std::uint16_t ServerHandshake::flags_for_guest() const noexcept {
  constexpr unsigned as_the_volume = flag::read_only | flag::send_flush | flag::send_fua |
                                     flag::rotational | flag::send_trim | flag::send_write_zeroes |
                                     flag::send_cache | flag::send_fast_zero;
  constexpr unsigned writing = flag::send_trim | flag::send_write_zeroes | flag::send_fast_zero;

  unsigned flags = volume_.info()->flags & as_the_volume;
  if ((flags & flag::read_only) != 0) flags &= ~writing;
  flags |= flag::has_flags | flag::can_multi_conn;
  if (terms_.structured_replies) flags |= flag::send_df;
  return static_cast<std::uint16_t>(flags);
}

ServerHandshake::Step ServerHandshake::next() {
  state_ = State::option;
  return {.what = Step::What::need, .send = out_, .expect = sizeof(nbd::wire::OptionRequest)};
}

ServerHandshake::Step ServerHandshake::wait() {
  assert(out_.empty());
  state_ = State::waiting;
  return {.what = Step::What::wait, .send = {}, .expect = 0};
}

ServerHandshake::Step ServerHandshake::transmit() {
  state_ = State::over;
  terms_.flags = flags_for_guest();
  return {.what = Step::What::transmit, .send = out_, .expect = 0};
}

ServerHandshake::Step ServerHandshake::close() {
  state_ = State::over;
  return {.what = Step::What::close, .send = out_, .expect = 0};
}

// The last reply to an option: an acknowledgement, or an error with a message for people.
ServerHandshake::Step ServerHandshake::answer(OptionReplyType type, std::string_view message) {
  reply(type, message.size());
  put_text(message);
  return next();
}

void ServerHandshake::reply(OptionReplyType type, std::size_t length) {
  nbd::wire::OptionReply header;
  header.option = static_cast<std::uint32_t>(option_);
  header.type = static_cast<std::uint32_t>(type);
  header.length = static_cast<std::uint32_t>(length);
  put(header);
}

template <class T>
void ServerHandshake::put(const T& value) {
  const auto bytes = nbd::wire::bytes_of(value);
  out_.insert(out_.end(), bytes.begin(), bytes.end());
}

void ServerHandshake::put_text(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  out_.insert(out_.end(), bytes.begin(), bytes.end());
}

}  // namespace head::exports
