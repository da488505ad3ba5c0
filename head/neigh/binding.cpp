#include "head/neigh/binding.hpp"

#include <algorithm>

namespace head::neigh {

namespace {

bool was_seen(Source source) noexcept {
  return source == Source::wire || source == Source::announcement;
}

}  // namespace

std::string_view to_string(Source source) noexcept {
  switch (source) {
    case Source::none:
      return "none";
    case Source::catalogue:
      return "catalogue";
    case Source::operator_:
      return "operator";
    case Source::announcement:
      return "announcement";
    case Source::wire:
      return "wire";
  }
  return "?";
}

Ruling rule(const Binding& held, const Binding& claim) noexcept {
  if (!claim.lladdr || claim.lladdr == held.lladdr) return Ruling::confirmed;
  if (!held.lladdr) return Ruling::first;
  if (was_seen(claim.source)) return Ruling::moved;
  return claim.generation > held.generation ? Ruling::moved : Ruling::overruled;
}

Binding merge(const Binding& held, const Binding& claim) noexcept {
  Binding after = held;
  after.generation = std::max(held.generation, claim.generation);
  switch (rule(held, claim)) {
    case Ruling::first:
    case Ruling::moved:
      after.lladdr = claim.lladdr;
      after.source = claim.source;
      break;
    case Ruling::confirmed:
      // Told beforehand and then seen, it is what was told. Told after it was seen it is too, if
      // that is newer: a catalogue that follows the wire says nothing of its own.
      if (claim.lladdr && (was_seen(claim.source)
                               ? held.source == Source::announcement
                               : held.source != Source::wire || claim.generation > held.generation))
        after.source = claim.source;
      break;
    case Ruling::overruled:
      break;
  }
  return after;
}

bool Flaps::count(Instant now) noexcept {
  changes_ = now - last_ < while_ ? static_cast<std::uint8_t>(std::min(changes_ + 1, 255)) : 1;
  last_ = now;
  if (changes_ >= many && now - told_ < tell_every) return false;
  told_ = now;
  return true;
}

}  // namespace head::neigh
