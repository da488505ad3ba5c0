// Who has a disc, and what it is told of it. None of this is called inside a call to the disc, but
// on_disc_shape() and on_disc_proven() may be.
#pragma once

#include "head/nbd/export_info.hpp"
#include "head/stats/stalls.hpp"

#include <string>

namespace head::disc {

class Disc;

class DiscOwner {
 public:
  // After close(): nothing of the disc is in flight any more; it may be destroyed.
  virtual void on_disc_closed(Disc& disc) noexcept = 0;
  // Once: it is connected for the first time, or is closed before that.
  virtual void on_disc_opened(Disc& disc, const stats::Opening& how) noexcept = 0;
  // From now on this is what the disc is: what any tail of it must offer (DiscOptions::shape).
  virtual void on_disc_shape(Disc&, const nbd::ExportInfo&) noexcept {}
  // Where the disc was proven to be is another place than before, or none (DiscStats::proven_at).
  virtual void on_disc_proven(Disc&) noexcept {}
  // Nothing is known of the disc, and what the tail offers cannot be one, whoever asks: it has no
  // bytes, or too many. It is asked again until the disc is closed.
  virtual void on_disc_unusable(Disc&, const std::string&) noexcept {}

 protected:
  ~DiscOwner() = default;
};

}  // namespace head::disc
