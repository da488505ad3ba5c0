#include "head/disc/last_writes.hpp"

#include "head/nbd/volume.hpp"

#include <algorithm>

namespace head::disc {

namespace flag = nbd::transmission_flag;

namespace {

Range range_of(const LastWrites::Write& write) noexcept {
  return {.offset = write.offset, .length = write.length};
}

}  // namespace

void LastWrites::learn(const nbd::ExportInfo& tail) noexcept {
  bytes_ = std::max(bytes_most, tail.block_minimum);
  can_flush_ = tail.has(flag::send_flush);
  can_fua_ = tail.has(flag::send_fua);
}

void LastWrites::inherit(const std::vector<Write>& known) {
  for (const Write& write : known) know(write);
}

void LastWrites::sent(const nbd::Request& request) {
  if (changes(request.command)) return forget(disc::range_of(request));
  if (request.command != nbd::Command::flush) return;
  lost(request);  // Nobody has said what became of it before.
  flushes_.push_back({.who = &request, .covers = turn_});
}

void LastWrites::answered(const nbd::Request& request, int error, std::uint64_t content,
                          iouring::Instant now, bool sure) {
  const bool flush = request.command == nbd::Command::flush;
  // What was believed stable a moment ago may be gone as well.
  if (nbd::may_have_failed_to_flush(request, error)) {
    forget();
    failed_at_ = now;
  }
  if (flush) return on_flushed(request);
  if (request.command != nbd::Command::write || error != 0 || flush_unknown_) return;
  const std::uint32_t length = std::min(request.length, bytes_);
  if (content == 0 || length != request.length) content = content_of(request, length);
  const Write write{.offset = request.offset, .length = length, .content = content};
  const bool fua = sure && (request.flags & nbd::command_flag::fua) != 0;
  const bool stable = fua || (!can_flush_ && !can_fua_);
  if (request.sent <= failed_at_) return;
  if (stable) return know(write);
  if (unstable_.size() == unstable_most) unstable_.erase(unstable_.begin());
  unstable_.push_back({.write = write, .turn = turn_++});
}

void LastWrites::on_flushed(const nbd::Request& flush) {
  const auto found = std::find_if(flushes_.begin(), flushes_.end(),
                                  [&](const Flush& one) { return one.who == &flush; });
  if (found == flushes_.end()) return;
  const std::uint64_t covers = found->covers;
  flushes_.erase(found);
  for (const Unstable& one : unstable_)
    if (one.turn < covers) know(one.write);
  std::erase_if(unstable_, [covers](const Unstable& one) { return one.turn < covers; });
}

void LastWrites::lost(const nbd::Request& request) noexcept {
  std::erase_if(flushes_, [&](const Flush& one) { return one.who == &request; });
}

std::vector<LastWrites::Write> LastWrites::known() const {
  std::vector<Write> all = lasting_;
  all.insert(all.end(), newest_.begin(), newest_.end());
  return all;
}

std::vector<LastWrites::Write> LastWrites::to_hand_over() const {
  return newest_.empty() || newest_.size() == newest_most ? known() : newest_;
}

bool LastWrites::still_knows(const Write& write) const noexcept {
  const auto has = [&](const auto& list) {
    return std::find(list.begin(), list.end(), write) != list.end();
  };
  return has(lasting_) || has(newest_);
}

bool LastWrites::is_proof(const Write& write) const noexcept {
  return newest_.empty() || std::find(newest_.begin(), newest_.end(), write) != newest_.end();
}

void LastWrites::forget() noexcept {
  lasting_.clear();
  newest_.clear();
  unstable_.clear();
}

void LastWrites::forget_unstable() noexcept {
  unstable_.clear();
}

void LastWrites::forget(Range range) noexcept {
  const auto is_over = [&](const Write& one) { return range_of(one).overlaps(range); };
  std::erase_if(lasting_, is_over);
  std::erase_if(newest_, is_over);
  std::erase_if(unstable_, [&](const Unstable& one) { return is_over(one.write); });
}

void LastWrites::know(const Write& write) {
  if (newest_.size() == newest_most) {
    if (lasting_.size() < lasting_most) lasting_.push_back(newest_.front());
    newest_.erase(newest_.begin());
  }
  newest_.push_back(write);
}

bool is_there(const LastWrites::Write& write, std::span<const std::byte> bytes) noexcept {
  struct Written final : nbd::Request {
    void on_done(int) noexcept override {}
  };
  const iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
  Written written;
  written.command = nbd::Command::write;
  written.memory = {&part, 1};
  return content_of(written, write.length) == write.content;
}

}  // namespace head::disc
