// A guest: an NBD client of an export, over a Unix socket. What it asks is the world's plan; every
// answer goes to the Audit. When its connection ends it connects again, and asks again what was not
// answered, as QEMU's client does; or it gives that up.
#pragma once

#include "head/nbd/wire.hpp"
#include "tests/sim/world/audit.hpp"
#include "tests/sim/world/inbox.hpp"
#include "tests/sim/world/network.hpp"

#include <cstdint>
#include <map>
#include <vector>

namespace world {

struct GuestManners {
  bool structured = true;
  bool asks_again = true;  // What was not answered when its connection ended.
  // Says what it says in pieces of at most so many bytes, so far apart; 0: at once.
  std::size_t piece = 0;
  Duration pause{};
  // Its kernel takes no more at a time, and it reads what that has so far apart; 0: all at once.
  std::size_t window = 0;
};

class Guest final : public Peer {
 public:
  // Who leads it to its disc.
  class Owner {
   public:
    // A stream to whoever serves the disc now; null where nobody does.
    virtual Stream* knock(Guest& guest) = 0;
    // headd's end of its connection is over.
    virtual void on_lost(Guest& guest) = 0;

   protected:
    ~Owner() = default;
  };

  Guest(Clock& clock, Audit& audit, Owner& owner, unsigned number, const GuestManners& manners);

  void connect();
  // Where it is about to come again, now.
  void come_early() {
    if (retrying_) connect();
  }
  void ask(const Ask& ask);
  // Ends its connection, and comes again.
  void come_anew();
  // Its process ends; what it had asked nobody waits for.
  void end();
  // Reads its answers, or does not.
  void read(bool yes);

  bool ready() const noexcept { return phase_ == Phase::ready; }
  // Since when it has been waiting for its handshake; nothing where it is not.
  bool greeted_late(Duration limit) const noexcept;

  void on_bytes(Stream& stream) override;
  void on_over(Stream& stream, bool reset) override;

  unsigned home = 0;  // Which head serves it.

 private:
  enum class Phase : std::uint8_t { away, hello, structured, context, go, ready };
  struct Going {
    Audit::Request* request = nullptr;
    Bytes read;  // What has come of it.
    std::vector<head::nbd::Extent> extents;
    int error = 0;
  };

  void say(const Bytes& bytes);
  void say_piece();
  void read_all();
  void on_loss();
  void retry();
  std::size_t parse(std::span<const std::byte> bytes);
  std::size_t on_option_reply(std::span<const std::byte> bytes);
  void say_option(head::nbd::wire::Option option, const Bytes& body);
  void next_option();
  void send_all();
  void send(std::uint64_t cookie, Going& going);
  std::size_t on_simple(std::span<const std::byte> bytes);
  std::size_t on_chunk(std::span<const std::byte> bytes);
  void finish(std::uint64_t cookie, int error);
  void complain(const char* what);

  Clock& clock_;
  Audit& audit_;
  Owner& owner_;
  const unsigned number_;
  const GuestManners manners_;
  Stream* stream_ = nullptr;
  Inbox inbox_;
  Bytes unsaid_;
  Phase phase_ = Phase::away;
  bool lives_ = true, reads_ = true, structured_ = false, context_ = false, retrying_ = false,
       about_to_read_ = false;
  Instant knocked_{};
  std::uint64_t cookies_ = 0;
  std::map<std::uint64_t, Going> asked_;
};

}  // namespace world
