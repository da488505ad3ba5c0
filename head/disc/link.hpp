// One of the connections of a disc, and when it connects again.
#pragma once

#include "head/disc/disc.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace head::disc {

// Covers what was written on a connection that was replaced.
struct LastFlush final : nbd::Request {
  LastFlush() noexcept { command = nbd::Command::flush; }
  void on_done(int) noexcept override {}  // The disc is asked first.
};

class Disc::Link final : public nbd::Connection::Owner {
 public:
  Link(Disc& disc, std::uint64_t seed, const nbd::ConnectionOptions& options);
  ~Link();

  void connect() noexcept;
  void connect_after(iouring::Duration wait) noexcept;
  nbd::Connection connection;

  // Takes over from another, which serves until this one is open.
  Link* predecessor = nullptr;
  bool superseded = false;  // A successor is to take over; it does not connect again.
  // A successor has taken over; only what is still to be answered here is waited for.
  bool witness = false;
  bool overdue = false;      // For as long as a ghost may take.
  bool elsewhere = false;    // The disc was said to be elsewhere since it was opened.
  std::uint64_t rumour = 0;  // DiscStats::rumoured_at when it began to connect.

  // Until it is answered nothing else is asked here.
  std::unique_ptr<Proof> proof;
  // Does it answer? Never waited for by itself.
  std::unique_ptr<SmallRead> probe;
  // A witness's: until it is answered no FLUSH on another connection is believed.
  std::unique_ptr<LastFlush> last_flush;
  // What the guard knows it by; no request has that cookie.
  Fence::Witness flush_witness() const noexcept { return {&connection, UINT64_MAX}; }

 private:
  void on_open() noexcept override { disc_.on_open(*this); }
  void on_answer(nbd::Request& request, int error) noexcept override {
    disc_.on_answer(*this, request, error);
    if (disc_.closing_ && connection.ready() && connection.in_flight() == 0) disc_.end(*this);
  }
  void on_proof_late() noexcept;
  void on_orphan_answered(std::uint64_t cookie, const nbd::Request& orphan,
                          int error) noexcept override {
    disc_.on_orphan_answered(*this, cookie, orphan, error);
  }
  void on_witnessed_long() noexcept;
  void on_hello_late() noexcept;
  void on_closed(const std::string& problem, nbd::RequestQueue unanswered) noexcept override {
    disc_.on_closed(*this, problem, unanswered);
  }
  void on_handed_over(nbd::HandedConnection handed) noexcept override {
    disc_.on_handed_over(std::move(handed));
  }
  void on_packets_lost(iouring::Instant at) noexcept override { disc_.on_packets_lost(at); }
  void on_parked(iouring::Instant since, iouring::Duration parked) noexcept override {
    disc_.stats_->record_parked(since, parked);
  }
  bool interface_was_away(iouring::Instant since) const noexcept override {
    return disc_.stats_->interface_was_away(since);
  }

  friend class Disc;
  Disc& disc_;
  Backoff backoff_;
  std::optional<iouring::Instant> opened_at_;
  iouring::Instant tried_at_{};  // Began to connect, last.
  bool lost_ = false;            // It was open, and has not been since.
  iouring::Alarm<&Link::connect> retry_{*this};
  iouring::Alarm<&Link::on_proof_late> proof_late_{*this};
  iouring::Alarm<&Link::on_witnessed_long> witnessed_long_{*this};
  iouring::Alarm<&Link::on_hello_late> hello_late_{*this};
};

}  // namespace head::disc
