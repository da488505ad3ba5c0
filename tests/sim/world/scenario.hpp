// One history as a plain value: a world, what its guests ask, and what befalls it. A scenario runs
// the same way every time, can be told as text, and can be made smaller.
#pragma once

#include "tests/sim/world/audit.hpp"
#include "tests/sim/world/guest.hpp"
#include "tests/sim/world/head.hpp"
#include "tests/sim/world/tail.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace world {

enum class Act : std::uint8_t {
  ask,               // A guest asks something.
  guest_ends,        // A guest's process ends.
  guest_comes_anew,  // A guest ends its connection, and connects again.
  guest_stops,       // A guest takes no answers for a while.
  guest_begins,      // A guest that waited to begin connects, to its own home.
  tail_ends,         // The process ends, and is started again after a while.
  tail_vanishes,     // Its host loses power without a word, and is there again after a while.
  tail_stops,        // SIGSTOP, and SIGCONT after a while.
  tail_hangs,        // Connections that there are now answer nothing any more.
  tail_cuts,         // Connections are reset or closed, at once or within the bytes to come.
  tail_refuses,      // The next requests of a kind fail.
  tail_is_spoilt,    // Refuses changes of some sectors from now on.
  tail_is_slow,      // The next requests take long.
  tail_lies,         // The next replies are of nobody's request.
  tail_shuts_down,   // Answers ESHUTDOWN for a while, then ends and starts again.
  tail_changes,      // Comes back as something else, and after a while as what it was.
  power_fails,       // The tail ends, starts again at once, and has lost what was not flushed.
  link_fails,        // Between a head and the tail; it is there again after a while.
  head_is_killed,    // SIGKILL, and started again after a while.
  head_is_upgraded,  // Another process goes on after a while.
  upgrade_fails,     // The other process ends before it serves; the old one goes on.
  head_is_stopped,   // SIGSTOP, and SIGCONT after a while.
  head_holds,        // headctl hold, and resume after a while.
  head_fails,        // headctl fail, and resume after a while.
  head_has_grace,    // The grace time is so long from now on.
  head_detaches,     // headctl detach, and attach after a while.
  head_relocates,    // The tail is said to be elsewhere, or there again, by a pin or the wire.
};

struct Action {
  Duration at{};
  Act act = Act::ask;
  unsigned who = 0;  // A guest, or a head.
  Ask ask{};
  Duration lasts{};
  head::nbd::Command command{};
  int error = 0;
  unsigned times = 0;
  std::size_t bytes = SIZE_MAX;
  Change change = Change::none;  // Of the tail.
  // Loses power; is a reset; replies come twice; a FLUSH that is refused loses nothing; only the
  // wire says it.
  bool yes = false;
  std::uint64_t boundary = 0;  // Not 0: before the event of this number, instead of `at`.
};
std::string to_string(const Action& action);

struct GuestPlan {
  GuestManners manners{};
  unsigned home = 0;
  bool begins = true;  // At once; else at guest_begins.
};

struct Scenario {
  std::uint64_t seed = 0;
  std::string profile;
  TailManners tail{};
  HeadManners head{};
  Link::Manners link{};
  unsigned heads = 1;
  std::vector<GuestPlan> guests{GuestPlan{}};
  std::vector<Action> actions;
  Duration length = std::chrono::seconds(3);
  // So long may a request wait while nothing is in its way: ten seconds, and a quarantine.
  Duration limit = std::chrono::seconds(13);
  // Handshakes are answered at once, whatever the tail does.
  bool greets_at_once = false;
  // An operator has written again what was kept while no guest was there, or beyond grace.
  bool resumes_abandoned = true;
  // Not everything is answered in the end: the tail has lost data, and the disc is held.
  bool ends_held = false;
  // Nothing is wrong with any connection: none is to be given up with requests on it.
  bool gives_up_nothing = false;
  // A crash of the tail after everything is flushed, and everything is read once more.
  bool crash_at_end = true;
};
std::string to_string(const Scenario& scenario);

}  // namespace world
