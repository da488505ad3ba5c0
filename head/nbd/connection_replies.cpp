// What a tail answers, and every check of it: doc/proto.md, "Transmission phase".
#include "head/nbd/connection.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

namespace head::nbd {
namespace {

using namespace std::chrono_literals;

// What a delayed acknowledgement costs is 40 ms and, on a loaded host, some more; a reply that is
// later than that is late for another reason.
constexpr auto delayed_ack_min = 30ms;
constexpr auto delayed_ack_max = 300ms;

void zero(std::span<const iovec> memory, std::size_t skip, std::size_t size) noexcept {
  for (const iovec& part : memory) {
    if (size == 0) return;
    if (skip >= part.iov_len) {
      skip -= part.iov_len;
      continue;
    }
    const std::size_t here = std::min(part.iov_len - skip, size);
    std::memset(static_cast<std::byte*>(part.iov_base) + skip, 0, here);
    skip = 0;
    size -= here;
  }
}

template <std::size_t size>
auto fixed(std::span<const std::byte> bytes) noexcept {
  return bytes.first<size>();
}

}  // namespace

void Connection::on_header(std::span<const std::byte> header) noexcept {
  switch (phase_) {
    case Phase::start:
      return on_start(header);
    case Phase::chunk_length:
      return on_chunk(header);
    case Phase::data_offset:
      return on_data_offset(header);
    case Phase::hole:
      return on_hole(header);
    case Phase::context:
      return on_context(header);
    case Phase::extent:
      return on_extent(header);
    case Phase::handshake:
    case Phase::payload:
    case Phase::unwanted:
    case Phase::error_body:
      assert(false);
  }
}

void Connection::on_payload() noexcept {
  switch (phase_) {
    case Phase::handshake:
      return step_handshake();
    case Phase::payload:
    case Phase::unwanted:
      return reply_.structured ? finish_chunk() : finish(*slot_, 0);
    case Phase::error_body:
      return on_error_body();
    default:
      assert(false);
  }
}

void Connection::expect_start() noexcept {
  phase_ = Phase::start;
  reader_.expect_header(reply_start_size);
}

void Connection::on_start(std::span<const std::byte> bytes) noexcept {
  const auto start = decode_reply_start(fixed<reply_start_size>(bytes));
  if (!start) return violate(describe(start.error()));
  reply_ = *start;
  slot_ = slots_.find(reply_.cookie);
  // Unknown, or answered before: we could not tell where its payload ends.
  if (slot_ == nullptr || slot_->answered) return violate("a reply to no request of ours");
  slot_->request->silence =
      io_.now() - std::max({last_reply_, reader_.progress_before(), slot_->request->moved_});
  watch_for_delayed_acks();
  if (!reply_.structured) return on_simple_reply();
  if (!info_.structured_replies) return violate("a structured reply that was not negotiated");
  phase_ = Phase::chunk_length;
  reader_.expect_header(reply_length_size);
}

// A tail that leaves Nagle's algorithm on sends one small reply and keeps the next until the first
// is acknowledged, which our kernel puts off for 40 ms.
void Connection::watch_for_delayed_acks() noexcept {
  const auto since = io_.now() - std::max(last_reply_, slot_->request->sent);
  last_reply_ = io_.now();
  if (quick_ack_ || options_.quick_ack != QuickAck::adaptive) return;
  if (since < delayed_ack_min || since > delayed_ack_max) return;
  quick_ack_ = true;
  reader_.acknowledge_at_once(true);
}

void Connection::on_simple_reply() noexcept {
  Request& request = *slot_->request;
  if (reply_.error != 0) return finish(*slot_, errno_from_wire(reply_.error));
  if (request.command == Command::block_status) return violate("a simple reply to BLOCK_STATUS");
  if (request.command != Command::read) return finish(*slot_, 0);
  if (info_.structured_replies) return violate("a simple reply to READ");
  expect_content(0, request.length);
}

// Of a READ, into whoever's memory it is; of an orphan into nobody's.
void Connection::expect_content(std::size_t skip, std::size_t size) noexcept {
  phase_ = slot_->orphan ? Phase::unwanted : Phase::payload;
  if (slot_->orphan) return reader_.expect_nothing(size);
  reader_.expect_payload(slot_->request->memory, skip, size);
}

void Connection::on_chunk(std::span<const std::byte> bytes) noexcept {
  const auto complete = complete_reply(reply_, fixed<reply_length_size>(bytes));
  if (!complete) return violate(describe(complete.error()));
  reply_ = *complete;
  const Command command = slot_->request->command;
  switch (reply_.chunk()) {
    case wire::Chunk::none:
      return finish_chunk();
    case wire::Chunk::offset_data:
      if (command != Command::read) return violate("data that nobody asked for");
      phase_ = Phase::data_offset;
      return reader_.expect_header(8);
    case wire::Chunk::offset_hole:
      if (command != Command::read) return violate("a hole that nobody asked for");
      phase_ = Phase::hole;
      return reader_.expect_header(sizeof(wire::OffsetHole));
    case wire::Chunk::block_status:
      if (command != Command::block_status) return violate("a block status nobody asked for");
      if (slot_->request->extents_filled != 0) return violate("two block statuses in one reply");
      phase_ = Phase::context;
      return reader_.expect_header(4);
    default:
      break;  // An error, of a known type or not; complete_reply() lets no other through.
  }
  if (reply_.length > error_chunk_max) return violate("an error chunk that is too long");
  if (!error_body_) error_body_ = std::make_unique<std::array<std::byte, error_chunk_max>>();
  error_part_ = {.iov_base = error_body_->data(), .iov_len = reply_.length};
  phase_ = Phase::error_body;
  reader_.expect_payload({&error_part_, 1}, 0, reply_.length);
}

bool Connection::cover(const Content& content) noexcept {
  const Request& request = *slot_->request;
  if (!inside(content.offset, content.length, request.offset, request.length)) {
    violate("data outside the request");
    return false;
  }
  if ((request.flags & command_flag::df) != 0 && slot_->brought != 0) {
    violate("data in pieces, which was forbidden");
    return false;
  }
  const auto from = static_cast<std::uint32_t>(content.offset - request.offset);
  const std::uint32_t slot = slots_.index_of(*slot_);
  auto verdict = Coverage::Verdict::good;
  // More bytes than there are overlap: a reply that is not kept track of ends as well.
  if (content.length > request.length - slot_->brought)
    verdict = Coverage::Verdict::overlaps;
  else if (slot_->untracked == 0)
    verdict = coverage_.add(slot, from, from + content.length, slot_->covered);
  if (verdict == Coverage::Verdict::overlaps) {
    violate("data that overlaps earlier data");
    return false;
  }
  if (verdict != Coverage::Verdict::good) {
    slot_->untracked = verdict == Coverage::Verdict::too_scattered ? too_scattered : crowded_out;
    coverage_.forget(slot);
  }
  slot_->brought += content.length;
  return true;
}

void Connection::on_data_offset(std::span<const std::byte> bytes) noexcept {
  const Content content = decode_offset_data(reply_, fixed<8>(bytes));
  if (!cover(content)) return;
  expect_content(content.offset - slot_->request->offset, content.length);
}

void Connection::on_hole(std::span<const std::byte> bytes) noexcept {
  const auto content = decode_offset_hole(fixed<sizeof(wire::OffsetHole)>(bytes));
  if (!content) return violate(describe(content.error()));
  if (!cover(*content)) return;
  zero(slot_->request->memory, content->offset - slot_->request->offset, content->length);
  finish_chunk();
}

void Connection::on_context(std::span<const std::byte> bytes) noexcept {
  if (wire::load<be32>(bytes) != context_) return violate("a metadata context not asked for");
  extents_left_ = extents_of(reply_);
  extents_sum_ = 0;
  if (extents_left_ > wire::extents_max) return violate("too many extents");
  phase_ = Phase::extent;
  reader_.expect_header(sizeof(wire::BlockDescriptor));
}

void Connection::on_extent(std::span<const std::byte> bytes) noexcept {
  const auto extent = decode_extent(fixed<sizeof(wire::BlockDescriptor)>(bytes));
  if (!extent) return violate(describe(extent.error()));
  Request& request = *slot_->request;
  const bool one = (request.flags & command_flag::req_one) != 0;
  if (extents_sum_ >= request.length || (one && extents_sum_ != 0))
    return violate("extents beyond the request");
  if (request.extents_filled < request.extents.size()) {
    const auto rest = static_cast<std::uint32_t>(request.length - extents_sum_);
    request.extents[request.extents_filled++] = {.length = std::min(extent->length, rest),
                                                 .flags = extent->flags};
  }
  extents_sum_ += extent->length;
  if (--extents_left_ == 0) return finish_chunk();
  reader_.expect_header(sizeof(wire::BlockDescriptor));
}

void Connection::on_error_body() noexcept {
  const auto error = decode_error_chunk(reply_, std::span(*error_body_).first(reply_.length));
  if (!error) return violate(describe(error.error()));
  const Request& request = *slot_->request;
  if (error->at && !inside(*error->at, 0, request.offset, request.length))
    return violate("an error outside the request");
  if (slot_->error == 0) slot_->error = errno_from_wire(error->error);
  finish_chunk();
}

void Connection::finish_chunk() noexcept {
  if (!reply_.done()) return expect_start();
  Slot& slot = *slot_;
  const Request& request = *slot.request;
  if (slot.error == 0) slot.error = slot.untracked;
  if (slot.error == 0 && request.command == Command::read && slot.covered != request.length)
    return violate("a reply to READ that does not cover it");
  if (slot.error == 0 && request.command == Command::block_status && request.extents_filled == 0 &&
      !slot.orphan)
    return violate("a reply to BLOCK_STATUS without extents");
  finish(slot, slot.error);
}

// The reply is whole.
void Connection::finish(Slot& slot, int error) noexcept {
  expect_start();
  slot.error = error;
  slot.answered = true;
  const bool orphan = slot.orphan;
  if (orphan) bury(slot);
  if (!orphan && error != ESHUTDOWN) return hand_back(slot);
  if (orphan && state_ == State::leaving) return leave_if_answered();
  if (error != ESHUTDOWN) return;
  if (!orphan) ++refused_;
  if (problem_.empty()) problem_ = "the tail is shutting down";
  if (state_ == State::ready) return say_goodbye();
  if (state_ == State::leaving) leave_if_answered();
}

// It may have been the last one.
void Connection::bury(Slot& orphan) noexcept {
  const std::uint64_t cookie = slots_.cookie_of(orphan);
  const int error = orphan.error;
  coverage_.forget(slots_.index_of(orphan));
  const Request* const request = &slots_.remove(orphan);
  const auto found = std::find_if(orphans_.begin(), orphans_.end(),
                                  [request](const auto& one) { return one.get() == request; });
  const std::unique_ptr<Orphan> buried = std::move(*found);
  orphans_.erase(found);
  owner_.on_orphan_answered(cookie, *buried, error);
}

// What was refused by a tail that goes away stays here: it is to be sent again elsewhere.
void Connection::hand_back(Slot& slot) noexcept {
  if (slot.error == ESHUTDOWN) return;
  if (!slot.sent) return;  // Its memory is being read still: on_sent() comes back to it.
  const int error = slot.error;
  coverage_.forget(slots_.index_of(slot));
  Request& request = slots_.remove(slot);
  const auto away = io_.now() - request.sent;
  request.away += away;
  request.wire += std::min<iouring::Duration>(away, round_trip_);
  if (state_ == State::leaving) leave_if_answered();
  owner_.on_answer(request, error);  // Last: the owner may submit, or end us.
}

}  // namespace head::nbd
