#include "netlink/neighbour.hpp"

#include <algorithm>

namespace netlink {

namespace {

Judgement set(const Desired& desired, std::uint16_t state = nud::stale) {
  if (desired.firm) state = nud::permanent;
  return {.verdict = Verdict::set, .lladdr = *desired.lladdr, .state = state};
}

// An entry with our mark. The kernel keeps mark and flags when it follows a neighbour
// advertisement; somebody's `ip neigh replace` keeps the mark but clears NTF_EXT_LEARNED
// (neigh_update_flags() with NEIGH_UPDATE_F_ADMIN), which is how the two are told apart.
Judgement judge_ours(const Desired& desired, const Neighbour& actual) {
  if (!actual.usable())
    return desired.firm && desired.lladdr ? set(desired) : Judgement{.verdict = Verdict::resolve};
  const bool learned = (actual.flags & ntf::ext_learned) != 0;
  const bool permanent = (actual.state & nud::permanent) != 0;
  const bool validated = desired.firm || (actual.ext_flags & ntf::ext_validated) != 0;
  const bool marked = (learned || !desired.exempt) && permanent == desired.firm &&
                      !(actual.state & nud::noarp) && (!desired.validated || validated);
  const bool replaced = desired.exempt && !learned;
  // No advertisement changes a permanent one: it is a pin of ours, from before.
  const bool older = permanent && desired.lladdr != actual.lladdr;
  if (desired.lladdr && (replaced || older)) return set(desired);
  if (desired.lladdr != actual.lladdr)
    return {.verdict = Verdict::learned, .lladdr = *actual.lladdr, .write = !marked};
  return marked ? Judgement{} : set(desired);
}

// An entry the kernel learned by itself becomes ours; one that somebody put there does not.
Judgement judge_other(const Desired& desired, const Neighbour& actual) {
  const bool deliberate = actual.protocol != 0 || (actual.flags & ntf::ext_learned) ||
                          (actual.ext_flags & (ntf::ext_managed | ntf::ext_validated)) ||
                          (actual.state & (nud::permanent | nud::noarp));
  if (deliberate) return {.verdict = Verdict::foreign};
  if (!actual.usable()) return desired.lladdr ? set(desired) : Judgement{Verdict::resolve};
  if (desired.lladdr == actual.lladdr) return set(desired);
  // Confirmed by the wire a moment ago; an old rumour only makes the desired binding doubtful.
  if (!desired.lladdr || actual.state == nud::reachable)
    return {.verdict = Verdict::learned, .lladdr = *actual.lladdr, .write = true};
  return set(desired, nud::probe);
}

}  // namespace

Judgement judge(const Desired& desired, const Neighbour* actual) noexcept {
  if (!actual) {
    Judgement judged = desired.lladdr ? set(desired) : Judgement{.verdict = Verdict::resolve};
    judged.fresh = true;
    return judged;
  }
  return actual->ours() ? judge_ours(desired, *actual) : judge_other(desired, *actual);
}

Plan plan(std::span<const Desired> desired, std::span<const Neighbour> actual) {
  Plan changes;
  auto have = actual.begin();
  const auto pass_over = [&] {
    if (have->ours()) changes.remove.push_back(have->key);
    ++have;
  };
  for (const Desired& want : desired) {
    while (have != actual.end() && have->key < want.key) pass_over();
    const bool present = have != actual.end() && have->key == want.key;
    const Judgement judged = judge(want, present ? &*have : nullptr);
    if (present) ++have;

    const Entry entry{.key = want.key,
                      .lladdr = judged.lladdr,
                      .state = judged.state,
                      .validated = want.validated,
                      .fresh = judged.fresh,
                      .exempt = want.exempt};
    if (judged.verdict == Verdict::set || judged.write) changes.set.push_back(entry);
    if (judged.verdict == Verdict::learned) changes.learned.push_back({want.key, judged.lladdr});
    if (judged.verdict == Verdict::resolve)
      changes.resolve.push_back({want.key, judged.fresh, want.exempt});
    if (judged.verdict == Verdict::foreign) changes.foreign.push_back(want.key);
  }
  while (have != actual.end()) pass_over();
  return changes;
}

const Neighbour* find(std::span<const Neighbour> sorted, const NeighbourKey& key) noexcept {
  const auto found = std::lower_bound(
      sorted.begin(), sorted.end(), key,
      [](const Neighbour& entry, const NeighbourKey& wanted) { return entry.key < wanted; });
  return found != sorted.end() && found->key == key ? &*found : nullptr;
}

bool is_unicast(const Mac& mac) noexcept {
  return (mac[0] & 1) == 0 && mac != Mac{};
}

bool is_multicast(const Ip6& address) noexcept {
  return address[0] == 0xff;
}

bool is_unspecified(const Ip6& address) noexcept {
  return address == Ip6{};
}

bool is_loopback(const Ip6& address) noexcept {
  Ip6 loopback{};
  loopback.back() = 1;
  return address == loopback;
}

bool is_link_local(const Ip6& address) noexcept {
  return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

}  // namespace netlink
