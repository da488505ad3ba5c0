// The server's half of the NBD handshake, towards one guest: bytes in, bytes out, no I/O.
//
//   hello ► flags ► options … ─┬─ GO, EXPORT_NAME ──► transmission
//                              └─ ABORT, nonsense ──► close
//
// There is one export: the disc, under its own name or the empty one. A guest that asks about a
// disc whose tail has not been opened yet waits for the answer. Memory and the number of options
// are bounded, whatever the guest sends.
#pragma once

#include "head/nbd/volume.hpp"
#include "head/nbd/wire.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace head::exports {

// What was agreed on with one guest.
struct Terms {
  std::uint16_t flags = 0;  // nbd::transmission_flag, as told to the guest.
  bool structured_replies = false;
  bool base_allocation = false;  // Selected by the guest.
};

inline constexpr std::uint32_t payload_maximum = 32u << 20;  // Of a guest's READ or WRITE.
inline constexpr std::uint32_t base_allocation_id = 1;       // On every connection to a guest.

class ServerHandshake {
 public:
  // Room for the longest name and the longest query.
  static constexpr std::size_t option_max = 2 * nbd::wire::string_max + 512;
  static constexpr unsigned options_max = 256;

  struct Step {
    enum class What : std::uint8_t {
      need,      // Exactly `expect` bytes go to the next step(), 1..option_max.
      skip,      // The next `expect` bytes are to be read and dropped; then step({}).
      wait,      // Until the volume is known; then resume(). The guest owes nothing meanwhile.
      transmit,  // Agreed: terms() hold, the guest's next bytes are a request.
      close,     // After sending what is to be sent.
    };
    What what = What::need;
    std::span<const std::byte> send;  // In every case; lives until the next call.
    std::size_t expect = 0;
  };

  // Both must outlive the handshake. `name` is the disc's.
  ServerHandshake(std::string_view name, const nbd::Volume& volume) noexcept
      : name_(name), volume_(volume) {}

  Step start();

  // Where it stands, as plain values: what another handshake, of the same disc, can go on from
  // instead of start(). The guest's next bytes there are those of the step that is awaited here.
  enum class State : std::uint8_t { flags, option, body, skipped, waiting, over };
  struct Pause {
    State state = State::flags;
    bool no_zeroes = false;
    std::uint16_t options = 0;
    std::uint32_t option = 0;
    std::uint32_t length = 0;     // Of its data.
    std::vector<std::byte> body;  // Those, where it waits for the volume.
    Terms terms;
  };
  Pause pause() const;
  // Nothing where there is no such pause.
  std::optional<Step> go_on(const Pause& pause);

  Step step(std::span<const std::byte> bytes);
  Step resume();

  const Terms& terms() const noexcept { return terms_; }

 private:
  Step on_flags(std::span<const std::byte> bytes);
  Step on_option(std::span<const std::byte> bytes);
  Step on_body();
  Step on_skipped();

  Step on_export_name();
  Step on_list();
  Step on_info();
  Step on_structured_reply();
  Step on_meta_context();

  bool is_ours(std::string_view name) const noexcept { return name.empty() || name == name_; }
  std::uint16_t flags_for_guest() const noexcept;

  Step next();
  Step wait();
  Step transmit();
  Step close();
  Step answer(nbd::wire::OptionReplyType type, std::string_view message = {});
  void reply(nbd::wire::OptionReplyType type, std::size_t length);
  template <class T>
  void put(const T& value);
  void put_text(std::string_view text);

  const std::string_view name_;
  const nbd::Volume& volume_;
  State state_ = State::flags;
  bool no_zeroes_ = false;
  unsigned options_ = 0;
  nbd::wire::Option option_{};
  std::size_t length_ = 0;
  std::vector<std::byte> body_;
  std::vector<std::byte> out_;
  Terms terms_;
};

}  // namespace head::exports
