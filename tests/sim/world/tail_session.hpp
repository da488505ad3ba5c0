// One connection of a tail: the server's side of the handshake, requests in, replies out.
#pragma once

#include "tests/sim/world/inbox.hpp"
#include "tests/sim/world/tail.hpp"

#include <deque>
#include <map>

namespace world {

class Tail::Session final : public Peer {
 public:
  Session(Tail& tail, Stream& stream, Link& over) : link(over), tail_(tail), stream_(stream) {}

  void on_bytes(Stream& stream) override;
  void on_over(Stream& stream, bool reset) override;

  void greet();
  // What came while the tail was stopped.
  void resume();
  void reply(Job& job);
  void hang_up(bool reset);
  void lose();
  void on_host_back() { stream_.on_peer_back(); }
  void cut_after(std::size_t bytes) { stream_.cut_after(bytes); }
  bool over() const noexcept { return over_; }
  // Nothing more is answered here.
  bool is_mute() const noexcept { return over_ || hangs; }

  Link& link;
  bool greeted = false;
  bool hangs = false;
  bool another_disc = false;
  std::map<std::uint64_t, Bytes> own;  // Sectors, where the tail keeps writes private.

 private:
  enum class Phase : std::uint8_t { fresh, flags, options, transmission };

  void negotiate();
  void on_goodbye();
  bool may_part() const noexcept { return parts_ && cookies_.empty() && pieces_.empty(); }
  void say_reply(Job& job);
  void option(head::nbd::wire::Option number);
  void agree_to_go(Bytes& out);
  void collect();
  bool check(const head::nbd::RequestHeader& header);
  void reply_structured(Job& job, Bytes& out) const;
  void reply_scattered(Job& job);
  void reply_status(const Job& job, Bytes& out) const;
  void say_next_piece();
  void put_data(const Job& job, std::size_t from, std::size_t size, bool last, Bytes& out) const;

  Tail& tail_;
  Stream& stream_;
  Inbox inbox_;
  Phase phase_ = Phase::fresh;
  bool structured_ = false;
  std::uint16_t told_flags_ = 0;
  bool over_ = false;
  bool parts_ = false;  // Its client has said goodbye.
  unsigned requests_ = 0;
  std::set<std::uint64_t> cookies_;
  // Replies in pieces: each reply's in order, one of each in turn.
  std::deque<std::deque<Bytes>> pieces_;
};

}  // namespace world
