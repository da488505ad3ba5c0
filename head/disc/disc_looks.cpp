// What the disc learns of itself while it is used, to be told from others later: what was written
// last, and its first block, which is looked at now and then.
#include "head/disc/link.hpp"

namespace head::disc {

namespace flag = nbd::transmission_flag;

// At once, or when what guests write has had some time to become less.
void Disc::look_soon(bool at_once) noexcept {
  if (closing_ || look_ || (look_due_.armed() && !at_once)) return;
  io_.arm(look_due_, io_.now() + (at_once ? iouring::Duration() : options_.looks_apart));
}

void Disc::take_stock() noexcept {
  if (closing_ || look_ || first_block_->known() || first_block_->length() == 0) return;
  const bool may = known_ && first_block_->may_look(io_.now()) && !guard_.replaying();
  nbd::Connection* const connection = may && course() == Course::send ? free_connection() : nullptr;
  if (connection == nullptr) {
    if (!cut_off_since_) io_.arm(look_due_, io_.now() + options_.looks_apart);
    return;
  }
  look_ = std::make_unique<Look>(io_.now(), *first_block_);
  // Only what is stable is what a tail that crashed will have.
  if (tail_.has(flag::send_flush) && !tail_.has(flag::read_only))
    look_->command = nbd::Command::flush;
  else
    look_->read();
  if (look_->command == nbd::Command::flush) guard_.begin_flush(*look_);
  connection->submit(*look_);
}

// ---- What the disc is told by follows what is asked of it ---------------------------------------

void Disc::note_sent(const nbd::Request& request) noexcept {
  if (first_block_) first_block_->sent(request);
  if (last_writes_) last_writes_->sent(request);
}

void Disc::note_answered(const nbd::Request& request, int error) noexcept {
  if (first_block_) note_returned(request, {});
  if (!last_writes_) return;
  // Beside another sync a FLUSH says something once it is believed; and a change with FUA, where it
  // is kept, with the next FLUSH. Elsewhere its guest has its word: if it is gone, that is to be
  // seen.
  const bool flush = request.command == nbd::Command::flush;
  const bool sure = error != 0 || (!flush && !guard_.keeps()) || !guard_.may_be_wrong(request);
  if (flush && !sure) return;
  const bool written = request.command == nbd::Command::write && error == 0;
  if (written && guard_.is_in_doubt(request)) return;
  last_writes_->answered(request, error, written ? guard_.content_of_sent(request) : 0, io_.now(),
                         sure);
}

void Disc::note_lost(const nbd::Request& request, iouring::Instant ghosts) noexcept {
  if (first_block_) note_returned(request, ghosts);
  if (last_writes_) last_writes_->lost(request);
}

void Disc::note_returned(const nbd::Request& request, iouring::Instant ghosts) noexcept {
  first_block_->returned(request, ghosts);
  if (known_ && !first_block_->known() && !cut_off_since_) look_soon();
}

}  // namespace head::disc
