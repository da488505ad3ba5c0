#include "tests/sim/world/network.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace world {

// After a link is up again the kernels send what was lost at their next attempt.
constexpr std::chrono::milliseconds retransmit_most{300};
// Bytes that are under way for longer are in the sender's queue.
constexpr std::chrono::milliseconds flight_most{1};
// What arrives at once.
constexpr std::size_t piece_most = 64 << 10;
// headd's TCP_USER_TIMEOUT, and what its keepalive settings come to: the head's kernel gives a
// connection up.
constexpr std::chrono::seconds user_timeout{10};
constexpr std::chrono::seconds keepalive_timeout{11};
constexpr std::chrono::seconds keepalive_idle{5};

void Link::set_up(bool up) {
  if (up_ == up) return;
  up_ = up;
  if (!up) {
    down_since_ = clock_.now();
    clock_.after(keepalive_timeout, [this, since = down_since_] {
      if (up_ || down_since_ != since) return;
      for (Stream* stream : streams_) stream->break_head(ETIMEDOUT);
    });
    return;
  }
  for (Stream* stream : streams_) stream->on_link_up();
}

Instant Link::arrival(std::size_t bytes, Instant& busy_until) {
  Instant from = std::max(clock_.now(), busy_until);
  if (manners_.bytes_per_second != 0) {
    from += std::chrono::nanoseconds(bytes * 1'000'000'000 / manners_.bytes_per_second);
    busy_until = from;
  }
  return from + manners_.latency + dice_.between(Duration{}, manners_.jitter);
}

void Stream::Pipe::take(std::size_t size) {
  taken += size;
  if (taken == bytes.size()) {
    bytes.clear();
    taken = have = 0;
  } else if (taken > (std::size_t{64} << 10)) {
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
    have -= taken;
    taken = 0;
  }
}

Stream::Stream(Clock& clock, Link& link) : clock_(clock), link_(link) {
  link.streams_.push_back(this);
}

std::size_t Stream::room() const noexcept {
  return to_peer_.held() >= window_ ? 0 : window_ - to_peer_.held();
}

void Stream::write(std::span<const std::byte> bytes) {
  send(to_peer_, bytes, true);
}

void Stream::say(std::span<const std::byte> bytes) {
  if (!peer_open_ || peer_lost_ || bytes.empty()) return;
  if (bytes.size() >= cut_after_) {
    send(to_head_, bytes.first(cut_after_), false);
    hang_up(true);
    return;
  }
  if (cut_after_ != SIZE_MAX) cut_after_ -= bytes.size();
  send(to_head_, bytes, false);
}

void Stream::send(Pipe& pipe, std::span<const std::byte> bytes, bool to_peer) {
  if (to_peer && pipe.held() == pipe.have - pipe.taken) waits_since_ = clock_.now();
  pipe.bytes.insert(pipe.bytes.end(), bytes.begin(), bytes.end());
  std::size_t piece = bytes.size();
  if (bytes.size() > 1 && link_.dice_.chance(link_.manners_.pieces))
    piece = 1 + link_.dice_.pick(bytes.size() - 1);
  const int way = to_peer ? 0 : 1;
  for (std::size_t left = bytes.size(); left != 0;) {
    const std::size_t size = std::min({left, piece, piece_most});
    piece = left -= size;
    last_[way] = std::max(last_[way], link_.arrival(size, busy_until_[way]));
    clock_.at(last_[way], [this, to_peer, size] { deliver(to_peer, size); });
  }
}

void Stream::deliver(bool to_peer, std::size_t size) {
  std::size_t& late = to_peer ? late_to_peer_ : late_to_head_;
  if (!link_.up() || late != 0) {
    if (to_peer && late == 0)
      clock_.after(user_timeout, [this] {
        if (unacknowledged() >= user_timeout) break_head(ETIMEDOUT);
      });
    late += size;
    return;
  }
  if (to_peer) {
    // What waited for an earlier loss to be repaired is dropped with the socket.
    if (reset_by_head_ && clock_.now() - closed_at_ > flight_most) return;
    if (peer_lost_) {
      if (peer_back_) break_head(ECONNRESET);
      return;
    }
    to_peer_.have += size;
    acknowledged_ += size;
    if (peer_open_) peer_->on_bytes(*this);
    if (to_peer_.held() < window_) tell_head();
  } else if (head_open_ && head_error_ == 0) {
    to_head_.have += size;
    tell_head();
  }
}

void Stream::on_link_up() {
  if (late_to_peer_ == 0 && late_to_head_ == 0 && !end_late_to_peer_ && !end_late_to_head_) return;
  const Instant when = clock_.now() + link_.dice_.between(Duration{}, retransmit_most);
  last_[0] = std::max(last_[0], when);
  last_[1] = std::max(last_[1], when);
  clock_.at(when, [this] {
    if (!link_.up()) return;
    const std::size_t there = std::exchange(late_to_peer_, 0),
                      back = std::exchange(late_to_head_, 0);
    // What a kernel has not got away when its socket is reset, it sends no more.
    if (there != 0 && !reset_by_head_ && head_error_ == 0) deliver(true, there);
    if (back != 0 && !reset_by_peer_) deliver(false, back);
    if (std::exchange(end_late_to_peer_, false)) deliver_end(true);
    if (std::exchange(end_late_to_head_, false)) deliver_end(false);
  });
}

void Stream::take(std::size_t bytes) {
  to_head_.take(bytes);
  heard_ += bytes;
  tell_hearings(heard_, true);
}

void Stream::when_heard(std::function<void(bool heard)> tell) {
  hearings_.push_back({.end = heard_ + to_head_.held(), .tell = std::move(tell)});
  if (!head_open_) tell_hearings(UINT64_MAX, false);
}

void Stream::tell_hearings(std::uint64_t taken, bool heard) {
  while (!hearings_.empty() && hearings_.front().end <= taken) {
    const Hearing first = std::move(hearings_.front());
    hearings_.erase(hearings_.begin());
    first.tell(heard);
  }
}

void Stream::take_incoming(std::size_t bytes) {
  const bool was_full = room() == 0;
  to_peer_.take(bytes);
  if (was_full) tell_head();
}

int Stream::end() const noexcept {
  if (!to_head_.arrived().empty()) return 0;
  if (head_error_ != 0) return head_error_;
  return fin_to_head_ && to_head_.held() == 0 ? 1 : 0;
}

void Stream::close(bool reset) {
  if (!head_open_) return;
  head_open_ = false;
  watcher_ = nullptr;
  closed_at_ = clock_.now();
  tell_hearings(UINT64_MAX, false);
  reset_by_head_ = reset || to_head_.held() != 0;
  if (head_error_ != 0 || head_gone_) return;
  Instant& last = last_[0];
  last = std::max(last, link_.arrival(0, busy_until_[0]));
  clock_.at(last, [this] { deliver_end(true); });
}

void Stream::hang_up(bool reset) {
  if (!peer_open_) return;
  peer_open_ = false;
  reset_by_peer_ = reset || to_peer_.held() != 0;
  Instant& last = last_[1];
  last = std::max(last, link_.arrival(0, busy_until_[1]));
  clock_.at(last, [this] { deliver_end(false); });
}

void Stream::deliver_end(bool to_peer) {
  if (!link_.up()) {
    (to_peer ? end_late_to_peer_ : end_late_to_head_) = true;
    return;
  }
  if (to_peer) {
    if (peer_lost_ || std::exchange(head_gone_, true)) return;
    if (peer_open_) peer_->on_over(*this, reset_by_head_);
    return;
  }
  if (!head_open_ || head_error_ != 0) return;
  if (reset_by_peer_)
    head_error_ = -ECONNRESET;
  else
    fin_to_head_ = true;
  tell_head();
}

void Stream::break_head(int error) {
  if (!head_open_ || head_error_ != 0) return;
  head_error_ = -error;
  tell_head();
}

Duration Stream::unacknowledged() const noexcept {
  const bool waits = late_to_peer_ != 0 || (peer_lost_ && to_peer_.held() != 0);
  return waits ? clock_.now() - waits_since_ : Duration{};
}

void Stream::lose_peer() {
  if (!peer_open_) return;
  peer_lost_ = true;
  peer_open_ = false;
  clock_.after(keepalive_timeout, [this] { break_head(ETIMEDOUT); });
}

void Stream::on_peer_back() {
  if (!peer_lost_) return;
  peer_back_ = true;
  const auto next = to_peer_.held() != 0 ? link_.dice_.between(Duration{}, retransmit_most)
                                         : Duration{keepalive_idle};
  clock_.after(next, [this] { break_head(ECONNRESET); });
}

void Stream::tell_head() {
  if (watcher_ != nullptr) watcher_->on_change(*this);
}

}  // namespace world
