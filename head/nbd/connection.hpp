// One NBD connection to a tail, from the SYN to the last byte, and a request's whole life on it:
//
//   submit -> Writer ... Reader -> on_start -> (chunk bodies, payload) -> Owner::on_answer
//
// It trusts nothing that the tail sends. Whatever goes wrong ends the connection, never a request:
// the owner gets the unanswered ones back, to be sent again elsewhere. Once opened it allocates
// nothing for a request.
//
//   closed ── open() ──► connecting ──► handshaking ──► ready ── leave() ──► leaving
//     ▲                      │               │            │                     │
//     └───── drained ◄────── draining ◄──────┴────────────┴─────────────────────┘
//
// A connection on which nothing is under way can go to another headd as it is: hand_over() makes it
// parting, and then closed here while its socket stays open; take_up() makes it ready there.
#pragma once

#include "head/nbd/connection_options.hpp"
#include "head/nbd/coverage.hpp"
#include "head/nbd/departures.hpp"
#include "head/nbd/handed_connection.hpp"
#include "head/nbd/handshake.hpp"
#include "head/nbd/packet_loss.hpp"
#include "head/nbd/reader.hpp"
#include "head/nbd/slots.hpp"
#include "head/nbd/volume.hpp"
#include "head/nbd/wire.hpp"
#include "head/nbd/writer.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

namespace head::nbd {

// A good answer to a READ, in more pieces than can be kept track of: no tail's error, and none for
// a guest. Asked with NBD_CMD_FLAG_DF, or for less, it can be had.
inline constexpr int too_scattered = EMSGSIZE;
// The same, but only beside the pieces of other requests on the connection: asked again, it can be
// had. One of those that crowd each other out always keeps its room.
inline constexpr int crowded_out = ENOBUFS;

class Connection final : Reader::Owner, Writer::Owner, Departures::Owner {
 public:
  enum class State : std::uint8_t {
    closed,
    connecting,
    handshaking,
    ready,
    parting,
    leaving,
    draining
  };

  class Owner {
   public:
    // The handshake is done: info() says what the export is.
    virtual void on_open() noexcept = 0;
    // A request is answered; it is the owner's again. `error` is an errno, or one of the two
    // above.
    virtual void on_answer(Request& request, int error) noexcept = 0;
    // What was taken back with orphan(), and told with that cookie, is answered, well or not: it is
    // carried out, or never will be.
    virtual void on_orphan_answered(std::uint64_t /*cookie*/, const Request&,
                                    int /*error*/) noexcept {}
    // The connection is over and may be opened again. `problem` says why, for people; what was not
    // answered comes back, oldest first.
    virtual void on_closed(const std::string& problem, RequestQueue unanswered) noexcept = 0;
    // The end of hand_over(), instead of on_closed(). Where it leads is for the owner to add.
    virtual void on_handed_over(HandedConnection) noexcept {}
    // look_at_network() found that packets to or from the tail were lost then, or since.
    virtual void on_packets_lost(iouring::Instant at) noexcept = 0;
    // What was sent then waited so long for neighbour discovery; told of some, zero included.
    virtual void on_parked(iouring::Instant since, iouring::Duration parked) noexcept = 0;
    // Whether the interface to the tail has been away since then, or nearly.
    virtual bool interface_was_away(iouring::Instant since) const noexcept = 0;

   protected:
    ~Owner() = default;
  };

  Connection(iouring::Io& io, Owner& owner, const ConnectionOptions& options) noexcept;
  ~Connection();

  State state() const noexcept { return state_; }
  bool ready() const noexcept { return state_ == State::ready; }
  bool room() const noexcept { return ready() && !slots_.full(); }
  std::uint32_t in_flight() const noexcept { return slots_.size(); }
  const ExportInfo& info() const noexcept { return info_; }
  // Of each request in flight that somebody waits for: function(request, since), since when nothing
  // has moved that could have brought its answer nearer: no byte has come on the connection, and
  // none of its own, or before them, has left or was acknowledged.
  template <class Function>
  void for_each_unanswered(Function function) const {
    slots_.for_each_owed([&](const Slot& slot) {
      if (!slot.orphan) function(*slot.request, last_moved(slot));
    });
  }
  // The same of all that the tail owes an answer for, whether or not somebody still waits for it.
  template <class Function>
  void for_each_owed(Function function) const {
    slots_.for_each_owed([&](const Slot& slot) { function(*slot.request, last_moved(slot)); });
  }
  // When bytes came last.
  iouring::Instant heard_at() const noexcept { return reader_.last_progress(); }
  const std::string& note() const noexcept { return note_; }
  bool acknowledges_at_once() const noexcept { return quick_ack_; }

  // How it has ended, inside on_closed().
  enum class End : std::uint8_t {
    nothing_under_way,  // All was answered, or refused with ESHUTDOWN.
    closed,             // By the tail, with FIN.
    reset,              // By the tail, or by another host that has its address now.
    given_up,           // By us, or by our kernel.
  };
  End end() const noexcept { return end_; }

  // Takes back what is unanswered, oldest first, from a connection that stays: the tail may still
  // carry it out, and answers that, which is told with the cookie. False, and nothing is changed: a
  // part of some request, or of an answer, is on its way.
  struct Orphaned {
    Request* request;
    std::uint64_t cookie;
  };
  bool orphan(std::vector<Orphaned>& requests);
  // Is anything that was taken back still to be answered?
  bool owes_orphans() const noexcept { return !orphans_.empty(); }
  // Inside on_closed(): what the tail offers cannot be a disc, as it has no bytes, or too many.
  bool unusable() const noexcept { return unusable_; }
  // Inside on_closed(): it was the tail, or what it said, that ended it, not its owner.
  bool ended_by_tail() const noexcept { return ended_by_tail_; }

  // In state closed only. Ends in on_open() or on_closed(), never inside the call.
  // `interface`: as Io::open_tcp() has it. `patience`: for the tail to accept.
  void open(const sockaddr_in6& to, const std::string& interface, const std::string& export_name,
            iouring::Duration patience);
  void open(const sockaddr_in6& to, const std::string& interface, const std::string& export_name) {
    open(to, interface, export_name, options_.connect_timeout);
  }
  // Needs room(). The request keeps to info(), alignment and payload_maximum included.
  void submit(Request& request) noexcept {
    assert(room());
    send(request);
  }
  // A question to find out whether it answers at all, which needs no room(), but a place: one is
  // kept for it. What is taken back keeps its place until it is answered.
  bool may_probe() const noexcept { return ready() && slots_.size() < Slots::places; }
  void probe(Request& request) noexcept { send(request); }
  // Looks whether the network is why answers are late, if they are and it did not look just now;
  // and every few seconds how long the way to the tail is. To be called often while in_flight().
  void look_at_network() noexcept;
  // Says goodbye (NBD_CMD_DISC) and closes; what is unanswered comes back.
  void leave() noexcept;
  // In state ready, with nothing in flight: lets go of the socket, which stays open. Ends in
  // on_handed_over(), never inside the call; in on_closed() where there is no descriptor for it, or
  // it has ended in this very moment.
  void hand_over() noexcept;
  // In state closed: goes on where another has handed over. It is ready at once, and needs neither
  // handshake nor on_open().
  void take_up(HandedConnection handed);
  // Ends the connection at once, so that the tail sees a reset.
  void fail(std::string problem) noexcept;

 private:
  // What the next header or payload from the tail is.
  enum class Phase : std::uint8_t {
    handshake,
    start,         // The 16 bytes that every reply begins with.
    chunk_length,  // The rest of a structured reply's header.
    payload,       // Data on its way into a request's memory.
    unwanted,      // An orphan's.
    data_offset,
    hole,
    context,
    extent,
    error_body,
  };

  iouring::Instant last_moved(const Slot& slot) const noexcept {
    const auto left = slot.sent ? iouring::Instant() : writer_.last_progress();
    return std::max({reader_.last_progress(), slot.request->moved_, left});
  }
  void on_header(std::span<const std::byte> header) noexcept override;
  void on_payload() noexcept override;
  void on_end(int error) noexcept override;
  void on_sent(Writer::Item& item) noexcept override;
  void on_send_failed(int error) noexcept override;
  void on_reader_drained() noexcept override { on_drained(); }
  void on_writer_drained() noexcept override { on_drained(); }
  void on_timed_send() noexcept override { departures_.on_send(); }
  void on_timed_sent() noexcept override { departures_.on_sent(); }
  void on_parked(iouring::Instant since, iouring::Duration parked) noexcept override {
    owner_.on_parked(since, parked);
  }
  bool interface_was_away(iouring::Instant since) const noexcept override {
    return owner_.interface_was_away(since);
  }
  void on_departures_drained() noexcept override { on_drained(); }

  void on_connect(iouring::Result result) noexcept;
  void on_deadline() noexcept;
  void on_over(iouring::Result result) noexcept;
  void on_health(iouring::Result result) noexcept;
  void on_halted(iouring::Result result) noexcept;
  void on_duplicate(iouring::Result result) noexcept;

  void begin() noexcept;
  void send(Request& request) noexcept;
  void follow(ClientHandshake::Step step) noexcept;
  void step_handshake() noexcept;
  void agree() noexcept;
  void become_ready() noexcept;

  void expect_start() noexcept;
  void on_start(std::span<const std::byte> bytes) noexcept;
  void on_simple_reply() noexcept;
  void on_chunk(std::span<const std::byte> bytes) noexcept;
  void on_data_offset(std::span<const std::byte> bytes) noexcept;
  void on_hole(std::span<const std::byte> bytes) noexcept;
  void on_context(std::span<const std::byte> bytes) noexcept;
  void on_extent(std::span<const std::byte> bytes) noexcept;
  void on_error_body() noexcept;
  bool cover(const Content& content) noexcept;
  void watch_for_delayed_acks() noexcept;
  void finish_chunk() noexcept;
  void finish(Slot& slot, int error) noexcept;
  void hand_back(Slot& slot) noexcept;
  void bury(Slot& orphan) noexcept;
  void expect_content(std::size_t skip, std::size_t size) noexcept;

  void say_goodbye() noexcept;
  void leave_if_answered() noexcept;
  void violate(const char* what) noexcept;
  void halt() noexcept;
  void on_halting() noexcept;
  void drain(bool reset) noexcept;
  void on_drained() noexcept { state_ == State::parting ? on_halting() : finish_draining(); }
  void finish_draining() noexcept;

  iouring::Io& io_;
  Owner& owner_;
  const ConnectionOptions& options_;

  State state_ = State::closed;
  iouring::Socket socket_;
  sockaddr_in6 to_{};
  std::string problem_;
  std::string note_;
  bool reset_ = false;
  End end_ = End::given_up;  // So far; when it was closed, how.
  bool ended_by_tail_ = false;
  bool unusable_ = false;
  bool quick_ack_ = false;
  iouring::Op<&Connection::on_connect> connect_{*this};
  iouring::Op<&Connection::on_over> over_{*this};
  // While it is handed over: perhaps nothing is pending any more; its descriptor.
  iouring::Op<&Connection::on_halted> halting_{*this};
  iouring::Op<&Connection::on_duplicate> duplicate_{*this};
  iouring::Alarm<&Connection::on_deadline> deadline_{*this};
  Health health_;            // As of the look before,
  iouring::TcpHealth seen_;  // and what this one sees.
  iouring::Op<&Connection::on_health> look_{*this};
  // The least that was seen since it was opened; 0 until known. The kernel's own least is of the
  // last minutes, in which the tail may have acknowledged nothing before it answered.
  std::chrono::microseconds round_trip_{};

  // While shaking hands.
  std::unique_ptr<ClientHandshake> handshake_;
  std::vector<std::byte> heard_;
  iovec heard_part_{};
  iovec said_part_{};
  bool saying_ = false;     // `said_` has not left yet;
  bool heard_all_ = false;  // and yet its answer is here.
  Writer::Item said_;

  ExportInfo info_;
  std::uint32_t context_ = 0;
  Slots slots_;
  // What is answered for nobody.
  struct Orphan final : Request {
    explicit Orphan(const Request& of) noexcept;
    void on_done(int) noexcept override {}
  };
  std::vector<std::unique_ptr<Orphan>> orphans_;
  std::uint32_t refused_ = 0;  // Of those in `slots_`: answered with ESHUTDOWN.
  Coverage coverage_;
  Writer writer_{io_, *this};
  Reader reader_{io_, *this};
  Departures departures_{io_, *this};

  // The reply that is arriving.
  Phase phase_ = Phase::handshake;
  ReplyHeader reply_;
  Slot* slot_ = nullptr;
  std::uint32_t extents_left_ = 0;
  std::uint64_t extents_sum_ = 0;
  std::unique_ptr<std::array<std::byte, error_chunk_max>> error_body_;
  iovec error_part_{};
  iouring::Instant last_reply_{};
};

}  // namespace head::nbd
