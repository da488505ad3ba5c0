// A guest's request on its way to a tail that would not take it as it is: too large, not aligned
// to the tail's blocks, or refused at its length. It goes in pieces, one after the other; the guest
// gets one answer. Rare, so it may allocate; a disc has fewer of them than requests, and while it
// has Disc::reshapes_max starts none that may copy a block, but those that the headd before had
// asked.
#pragma once

#include "head/disc/pieces.hpp"

#include <vector>

namespace head::disc {

class Reshape final : public nbd::Request {
 public:
  class Owner {
   public:
    // Sends a piece, which is `reshape` itself.
    virtual void send_piece(Reshape& reshape) noexcept = 0;
    // Changes of the block that it must change part of have ended: asked before each such piece.
    virtual bool may_change(const Reshape& reshape, Range block) noexcept = 0;
    // The guest's request is done; the owner answers it and destroys `reshape`.
    virtual void on_reshaped(Reshape& reshape, int error) noexcept = 0;

   protected:
    ~Owner() = default;
  };

  // Whole blocks go at most `most` bytes at once.
  Reshape(Owner& owner, const nbd::ExportInfo& tail, nbd::Request& whole, std::uint64_t most)
      : owner_(owner), tail_(tail), whole_(whole), most_(most) {
    arrived = whole.arrived;
  }

  nbd::Request& whole() const noexcept { return whole_; }
  // Goes on: at the start, and when waits() and may_change() would say yes now.
  void advance();
  bool waits() const noexcept { return step_ == Step::waiting; }
  // Instead of on_done(): the tail would not have the piece at its length.
  void go_on_in_halves();
  // It is to be sent once more. A block that was read, to be written back with a part of it
  // changed, has to be read again: it may not be what it was.
  void start_block_anew() noexcept;
  // A sync has failed, with this, and the tail may have dropped what it had acknowledged. Pieces of
  // a change that were answered before are asked again, behind the last one.
  void doubt(int error) noexcept {
    if (done_ != 0 && changes(whole_.command)) doubted_ = error;
  }
  // Another change goes to the tail: over that, pieces must not be asked again.
  void pass(Range other) noexcept {
    overtaken_ |= other.overlaps({.offset = whole_.offset, .length = done_});
  }

 private:
  enum class Step : std::uint8_t { idle, waiting, middle, reading_block, writing_block };

  void on_done(int error) noexcept override;
  void finish();
  void send_middle();
  void send_widened();
  void read_block();
  void prepare_to_read_block();
  void write_block();
  void finish_widened() noexcept;
  void slice(Range range);
  void copy_part(bool into_block);

  Owner& owner_;
  const nbd::ExportInfo& tail_;
  nbd::Request& whole_;
  std::uint64_t most_;

  Step step_ = Step::idle;
  std::uint64_t done_ = 0;  // Bytes of `whole_` from its start on,
  int doubted_ = 0;         // some of which are doubted,
  bool overtaken_ = false;  // or written over by another change.
  Piece piece_;
  std::vector<std::byte> block_;
  iovec block_part_{};
  std::vector<iovec> parts_;
};

// What a guest has asked for: of a piece, its whole; where that is null, the request itself.
inline const nbd::Request& whole_of(const Reshape* piece, const nbd::Request& request) noexcept {
  return piece == nullptr ? request : piece->whole();
}

}  // namespace head::disc
