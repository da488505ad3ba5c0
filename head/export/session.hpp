// One guest's connection: handshake, then requests, each answered exactly once.
//
//   on_header ► validate ► memory ─┬─ (write: on_payload) ► Volume::submit … on_done ─┐
//               (no memory: wait)  └─ refused: (drain) ───────────────────────────────┴► send
//
// and when it is sent, its memory is freed.
//
// Back-pressure: a session reads no further request while 64 of its own are not answered yet, the
// answer counted as given only when the kernel has taken it, or while its disc has no memory. A
// guest that breaks the protocol, that leaves, or that stops in the middle (it says half a request
// or payload, or does not take its answers) ends its own session and nothing else. What the volume
// has begun for a guest that is gone is waited for; what it has not begun is withdrawn.
//
// A session can go on in another process, or in this one later (see handed.hpp):
//
//   halt ► (answers that come soon are sent) ► halt_answers ► (volume: ESHUTDOWN) ► still ►
//   hand_over
//
// ESHUTDOWN means not answered then: the volume is closed, so that nothing of it is done any more.
#pragma once

#include "head/export/handed.hpp"
#include "head/export/payload_pool.hpp"
#include "head/export/server_handshake.hpp"
#include "head/export/validate.hpp"
#include "head/nbd/reader.hpp"
#include "head/nbd/volume.hpp"
#include "head/nbd/writer.hpp"
#include "head/stats/stalls.hpp"
#include "iouring/io.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace head::exports {

// What all sessions of a disc share.
struct Service {
  iouring::Io& io;
  std::string_view name;
  nbd::Volume& volume;
  stats::DiscStats& stats;
  stats::Stalls& stalls;
  PayloadPool::Account& memory;
};

class Session final : nbd::Reader::Owner, nbd::Writer::Owner, PayloadPool::Lessee {
 public:
  static constexpr unsigned in_flight_max = 64;

  class Owner {
   public:
    // Its guest is gone, or has said goodbye: live() no more.
    virtual void on_guest_gone(Session& session) noexcept = 0;
    // Nothing of it is pending any more and its socket is closed. It may be destroyed, but not from
    // inside this call.
    virtual void on_session_over(Session& session) noexcept = 0;
    // Its handshake is done: size_told() is known.
    virtual void on_guest_greeted(Session&) noexcept {}
    // After halt(): it may be quiet() or still() now.
    virtual void on_session_halting(Session&) noexcept {}

   protected:
    ~Owner() = default;
  };

  // Takes the socket over. `service` and `owner` must outlive the session.
  Session(const Service& service, Owner& owner, iouring::Socket socket);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  void start();
  // Instead: goes on where another session of the same guest was halted.
  void go_on(HandedSession handed);
  // The volume has become known.
  void on_info() noexcept;
  // Hangs up; requests that the volume has begun are waited for. on_session_over() follows, perhaps
  // from inside this call.
  void end() noexcept;
  // It has a guest.
  bool live() const noexcept { return state_ <= State::transmission; }
  bool over() const noexcept { return state_ == State::over; }

  // Nothing more is read. Again: the kernel is asked again.
  void halt() noexcept;
  // Everything that was asked is answered and the answers are sent.
  bool quiet() const noexcept;
  void halt_answers() noexcept;
  // Nothing of it is under way.
  bool still() const noexcept;
  // Still: what there is to be handed over. All but the socket, which stays open and the caller's,
  // is over then.
  HandedSession hand_over();
  bool owes_flush_error() const noexcept {
    return flush_errors_told_ != service_.volume.flush_errors().met;
  }
  iouring::Socket socket() const noexcept { return socket_; }
  // The size of the disc as its guest was told in its handshake, for as long as it is connected:
  // the protocol has no way to tell it another. 0: it was not told yet.
  std::uint64_t size_told() const noexcept { return size_told_; }

 private:
  enum class State : std::uint8_t {
    handshake,
    transmission,
    leaving,  // Reads nothing more; ends when the last answer is sent.
    ending,   // Hung up; drains.
    over,
  };

  struct Slot;
  struct Greeting;
  struct Inherited;

  void on_header(std::span<const std::byte> header) noexcept override;
  void on_part_of_header() noexcept override { watch_guest(); }
  void on_payload() noexcept override;
  void on_end(int error) noexcept override;
  void on_reader_drained() noexcept override { on_drained(); }
  void on_sent(nbd::Writer::Item& item) noexcept override;
  void on_send_failed(int error) noexcept override;
  void on_writer_drained() noexcept override { on_drained(); }
  void on_memory(const PayloadPool::Lease& lease) noexcept override;

  void negotiate(std::span<const std::byte> bytes) noexcept;
  void apply(ServerHandshake::Step step) noexcept;
  void expect(std::size_t size) noexcept;
  void on_greeting_sent() noexcept;

  static std::uint32_t payload_of(const nbd::RequestHeader& request, Verdict verdict) noexcept;
  static std::uint16_t flags_for_volume(nbd::Command command, std::uint16_t flags) noexcept;

  void on_request(std::span<const std::byte> header) noexcept;
  void begin_inherited() noexcept;
  const char* objection() const noexcept;
  std::vector<std::byte> unanswered() const;
  std::vector<std::byte> handshake_bytes(nbd::Reader::Came came) const;
  void admit(const PayloadPool::Lease& lease) noexcept;
  void submit(Slot& slot) noexcept;
  void on_answer(Slot& slot, int error) noexcept;
  int with_flush_errors(const Slot& slot, int error) noexcept;
  void answer(Slot& slot, int error, const char* message) noexcept;
  void account(const Slot& slot, stats::Operation operation, int error) noexcept;
  void release(Slot& slot) noexcept;
  bool must_stall() const noexcept;

  void pause() noexcept;
  bool paused() const noexcept { return stalled_ || waits() || held_; }
  void on_paused_long() noexcept;
  void on_hangup(iouring::Result result) noexcept;
  bool within_request() const noexcept;
  void watch_guest() noexcept;
  void on_out_of_patience() noexcept;
  void hang_up(const char* why) noexcept;
  void leave() noexcept;
  bool all_said() const noexcept;
  void depart() noexcept;
  void withdraw() noexcept;
  void finish_if_drained() noexcept;
  void on_drained() noexcept;

  Service service_;
  Owner& owner_;
  iouring::Socket socket_;
  State state_ = State::handshake;
  nbd::Reader reader_;
  nbd::Writer writer_;

  std::unique_ptr<Greeting> greeting_;    // Gone when the handshake is.
  std::unique_ptr<Inherited> inherited_;  // Until it is sent, and read.
  Terms terms_;

  nbd::RequestHeader header_;   // Of the request that is being admitted.
  iouring::Instant arrived_{};  // Its, before it waits for memory: what the guest waits counts.
  Verdict verdict_;
  iouring::Instant admitted_{};  // When its payload could begin to come.
  Slot* receiving_ = nullptr;    // Whose payload is arriving, or being dropped.
  Slot* slots_ = nullptr;        // All of this session's.
  unsigned in_flight_ = 0;       // Those.
  unsigned at_volume_ = 0;       // Of those, submitted and not answered.
  bool stalled_ = false;         // Paused because of in_flight_max.
  bool held_ = false;            // Inherited, and the volume is not known, or not as it was.
  bool halting_ = false;
  bool header_waits_ = false;  // For memory, when it was halted.
  std::uint64_t size_told_ = 0;
  std::uint64_t flush_errors_told_;  // Of the volume's; or of no concern to the guest.
  // While it is the guest's turn: to go on with the handshake, with a request or its payload, to
  // take an answer.
  // Not armed anew for each: when it fires it is found out since when the guest is waited for.
  iouring::Alarm<&Session::on_out_of_patience> patience_{*this};
  // Who is not read from may leave without being heard.
  iouring::Alarm<&Session::on_paused_long> paused_long_{*this};
  iouring::Op<&Session::on_hangup> hangup_{*this};
};

}  // namespace head::exports
