#include "head/control/handover.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

namespace head::control {

namespace {

using exports::HandedDisc;
using exports::HandedSession;
using exports::ServerHandshake;

constexpr std::uint64_t magic = 0x4845414448414e44;  // "HEADHAND"

class Pen {
 public:
  template <class T>
  void number(T value) {
    for (std::size_t i = sizeof(T); i-- > 0;)
      bytes_.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i)));
  }
  template <class Length>
  void block(std::span<const std::byte> bytes) {
    number(static_cast<Length>(bytes.size()));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  std::vector<std::byte> done() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// Once something was missing or wrong, everything that follows is nothing.
class Eye {
 public:
  explicit Eye(std::span<const std::byte> bytes) noexcept : rest_(bytes) {}

  template <class T>
  T number() noexcept {
    if (rest_.size() < sizeof(T)) return fail(), T{};
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
      value = value << 8 | std::to_integer<std::uint64_t>(rest_[i]);
    rest_ = rest_.subspan(sizeof(T));
    return static_cast<T>(value);
  }
  bool flag() noexcept {
    const auto value = number<std::uint8_t>();
    if (value > 1) fail();
    return value == 1;
  }
  template <class Length>
  std::span<const std::byte> block() noexcept {
    const std::uint64_t size = number<Length>();
    if (size > rest_.size()) return fail(), std::span<const std::byte>();
    const auto bytes = rest_.first(size);
    rest_ = rest_.subspan(size);
    return bytes;
  }
  void fail() noexcept {
    good_ = false;
    rest_ = {};
  }
  bool good() const noexcept { return good_; }
  bool at_end() const noexcept { return rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
  bool good_ = true;
};

std::vector<std::byte> copy(std::span<const std::byte> bytes) {
  return {bytes.begin(), bytes.end()};
}

void write(Pen& pen, const std::string& text) {
  pen.block<std::uint16_t>(std::as_bytes(std::span(text)));
}

std::string read_text(Eye& eye) {
  const auto text = eye.block<std::uint16_t>();
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

void write(Pen& pen, const exports::Terms& terms) {
  pen.number(terms.flags);
  pen.number(std::uint8_t{terms.structured_replies});
  pen.number(std::uint8_t{terms.base_allocation});
}

exports::Terms read_terms(Eye& eye) {
  exports::Terms terms;
  terms.flags = eye.number<std::uint16_t>();
  terms.structured_replies = eye.flag();
  terms.base_allocation = eye.flag();
  return terms;
}

void write(Pen& pen, const ServerHandshake::Pause& pause) {
  pen.number(static_cast<std::uint8_t>(pause.state));
  pen.number(std::uint8_t{pause.no_zeroes});
  pen.number(pause.options);
  pen.number(pause.option);
  pen.number(pause.length);
  pen.block<std::uint32_t>(pause.body);
  write(pen, pause.terms);
}

ServerHandshake::Pause read_pause(Eye& eye) {
  ServerHandshake::Pause pause;
  const auto state = eye.number<std::uint8_t>();
  if (state >= static_cast<std::uint8_t>(ServerHandshake::State::over)) eye.fail();
  pause.state = static_cast<ServerHandshake::State>(state);
  pause.no_zeroes = eye.flag();
  pause.options = eye.number<std::uint16_t>();
  pause.option = eye.number<std::uint32_t>();
  pause.length = eye.number<std::uint32_t>();
  pause.body = copy(eye.block<std::uint32_t>());
  pause.terms = read_terms(eye);
  return pause;
}

void write(Pen& pen, const HandedSession& session) {
  pen.number(session.cookie);
  pen.number(session.size);
  write(pen, session.terms);
  pen.number(std::uint8_t{session.handshake.has_value()});
  if (session.handshake) write(pen, *session.handshake);
  pen.block<std::uint64_t>(session.said);
  pen.block<std::uint64_t>(session.unsent);
  pen.number(std::uint8_t{session.owes_flush_error});
}

HandedSession read_session(Eye& eye, std::uint32_t version) {
  HandedSession session;
  session.cookie = eye.number<std::uint64_t>();
  session.size = eye.number<std::uint64_t>();
  session.terms = read_terms(eye);
  if (eye.flag()) session.handshake = read_pause(eye);
  session.said = copy(eye.block<std::uint64_t>());
  session.unsent = copy(eye.block<std::uint64_t>());
  if (version >= 3) session.owes_flush_error = eye.flag();
  return session;
}

void write(Pen& pen, const nbd::ExportInfo& shape) {
  pen.number(shape.size);
  pen.number(shape.flags);
  pen.number(shape.block_minimum);
  pen.number(shape.block_preferred);
  pen.number(shape.payload_maximum);
  pen.number(std::uint8_t{shape.structured_replies});
  pen.number(std::uint8_t{shape.base_allocation});
}

// Nothing where no disc can be like that.
std::optional<nbd::ExportInfo> read_shape(Eye& eye) {
  nbd::ExportInfo shape;
  shape.size = eye.number<std::uint64_t>();
  shape.flags = eye.number<std::uint16_t>();
  shape.block_minimum = eye.number<std::uint32_t>();
  shape.block_preferred = eye.number<std::uint32_t>();
  shape.payload_maximum = eye.number<std::uint32_t>();
  shape.structured_replies = eye.flag();
  shape.base_allocation = eye.flag();
  if (!nbd::block_sizes_are_sound(shape) || !nbd::size_is_sound(shape)) return std::nullopt;
  return shape;
}

void write(Pen& pen, const nbd::Legacy& legacy) {
  pen.number(std::uint8_t{legacy.shape.has_value()});
  if (legacy.shape) write(pen, *legacy.shape);
  pen.number(static_cast<std::uint8_t>(legacy.flush));
  pen.number(std::uint8_t{legacy.owes_flush_error});
  pen.number(std::uint8_t{legacy.first_block_doubted});
  pen.number(legacy.first_block_length);
  pen.number(legacy.first_block_sum);
  pen.number(static_cast<std::uint32_t>(legacy.doubts.size()));
  for (const nbd::Legacy::Doubt& doubt : legacy.doubts) {
    pen.number(doubt.offset);
    pen.number(doubt.length);
    pen.number(doubt.until_ns);
    pen.number(std::uint8_t{doubt.asked_again});
    pen.number(doubt.content);
  }
  pen.block<std::uint64_t>(legacy.log);
  pen.number(std::uint8_t{legacy.log_abandoned});
  pen.number(legacy.owed_since_ns);
  pen.number(static_cast<std::uint32_t>(legacy.last_writes.size()));
  for (const nbd::Legacy::Write& write : legacy.last_writes) {
    pen.number(write.offset);
    pen.number(write.length);
    pen.number(write.content);
  }
}

nbd::Legacy read_legacy(Eye& eye, std::uint32_t version) {
  nbd::Legacy legacy;
  if (version >= 3) {
    if (eye.flag()) legacy.shape = read_shape(eye);
    const auto flush = eye.number<std::uint8_t>();
    if (flush > static_cast<std::uint8_t>(nbd::Legacy::Flush::unknown)) eye.fail();
    legacy.flush = static_cast<nbd::Legacy::Flush>(flush);
    legacy.owes_flush_error = eye.flag();
    legacy.first_block_doubted = eye.flag();
  }
  legacy.first_block_length = eye.number<std::uint32_t>();
  legacy.first_block_sum = eye.number<std::uint64_t>();
  const auto doubts = eye.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < doubts && eye.good(); ++i) {
    nbd::Legacy::Doubt doubt;
    doubt.offset = eye.number<std::uint64_t>();
    doubt.length = eye.number<std::uint64_t>();
    doubt.until_ns = eye.number<std::int64_t>();
    if (version >= 3) doubt.asked_again = eye.flag();
    if (version >= 3) doubt.content = eye.number<std::uint64_t>();
    if (doubt.length > UINT64_MAX - doubt.offset) eye.fail();
    legacy.doubts.push_back(doubt);
  }
  legacy.log = copy(eye.block<std::uint64_t>());
  if (version < 4) return legacy;
  legacy.log_abandoned = eye.flag();
  legacy.owed_since_ns = eye.number<std::int64_t>();
  const auto writes = eye.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < writes && eye.good(); ++i) {
    nbd::Legacy::Write write;
    write.offset = eye.number<std::uint64_t>();
    write.length = eye.number<std::uint32_t>();
    write.content = eye.number<std::uint64_t>();
    if (write.length > UINT64_MAX - write.offset) eye.fail();
    legacy.last_writes.push_back(write);
  }
  return legacy;
}

void write(Pen& pen, const nbd::HandedConnection& connection) {
  pen.number(connection.cookie);
  for (const std::uint8_t byte : connection.to.address) pen.number(byte);
  pen.number(connection.to.port);
  write(pen, connection.to.interface);
  write(pen, connection.to.export_name);
  write(pen, connection.info);
  pen.number(connection.context);
  write(pen, connection.note);
  pen.number(std::uint8_t{connection.acknowledges_at_once});
  pen.number(static_cast<std::uint64_t>(connection.round_trip.count()));
  pen.number(connection.sent);
  pen.number(connection.generation);
}

// Nothing where no disc can be like that.
std::optional<nbd::HandedConnection> read_connection(Eye& eye) {
  nbd::HandedConnection connection;
  connection.cookie = eye.number<std::uint64_t>();
  for (std::uint8_t& byte : connection.to.address) byte = eye.number<std::uint8_t>();
  connection.to.port = eye.number<std::uint16_t>();
  connection.to.interface = read_text(eye);
  connection.to.export_name = read_text(eye);
  const auto info = read_shape(eye);
  connection.context = eye.number<std::uint32_t>();
  connection.note = read_text(eye);
  connection.acknowledges_at_once = eye.flag();
  connection.round_trip = std::chrono::microseconds(eye.number<std::uint64_t>());
  connection.sent = eye.number<std::uint64_t>();
  connection.generation = eye.number<std::uint32_t>();
  if (!info) return std::nullopt;
  connection.info = *info;
  return connection;
}

void write(Pen& pen, const HandedDisc& disc) {
  write(pen, disc.name);
  pen.number(disc.cookie);
  pen.number(static_cast<std::uint32_t>(disc.sessions.size()));
  for (const HandedSession& session : disc.sessions) write(pen, session);
  write(pen, disc.legacy);
  pen.number(static_cast<std::uint32_t>(disc.connections.size()));
  for (const nbd::HandedConnection& connection : disc.connections) write(pen, connection);
}

HandedDisc read_disc(Eye& eye, std::uint32_t version) {
  HandedDisc disc;
  disc.name = read_text(eye);
  disc.cookie = eye.number<std::uint64_t>();
  const auto sessions = eye.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < sessions && eye.good(); ++i)
    disc.sessions.push_back(read_session(eye, version));
  if (version >= 2) disc.legacy = read_legacy(eye, version);
  const auto connections = version >= 4 ? eye.number<std::uint32_t>() : 0;
  for (std::uint32_t i = 0; i < connections && eye.good(); ++i)
    if (auto connection = read_connection(eye)) disc.connections.push_back(std::move(*connection));
  return disc;
}

}  // namespace

std::vector<std::byte> to_document(std::span<const HandedDisc> discs) {
  Pen pen;
  pen.number(magic);
  pen.number(handover_version);
  pen.number(static_cast<std::uint32_t>(discs.size()));
  for (const HandedDisc& disc : discs) write(pen, disc);
  return pen.done();
}

Document parse_document(std::span<const std::byte> bytes) {
  Eye eye(bytes);
  if (eye.number<std::uint64_t>() != magic)
    return {.problem = "what was handed over is not a headd's; restart headd"};
  const auto version = eye.number<std::uint32_t>();
  if (eye.good() && (version == 0 || version > handover_version))
    return {.problem = fmt::format(
                "guests were handed over in version {} of the format, and this headd reads up to "
                "{}; restart headd, and the guests connect again",
                version, handover_version)};
  const auto count = eye.number<std::uint32_t>();
  Document document;
  for (std::uint32_t i = 0; i < count && eye.good(); ++i)
    document.discs.push_back(read_disc(eye, version));
  if (!eye.good() || !eye.at_end())
    return {.problem =
                "what was handed over of the guests is damaged; restart headd, and the guests "
                "connect again"};
  return document;
}

}  // namespace head::control
