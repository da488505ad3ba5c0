// Scenarios about one kind of fault each; profiles.cpp says in a sentence what each is.
#pragma once

#include "tests/sim/world/scenario.hpp"

#include <cstdint>

namespace world {

Scenario draw_detached(std::uint64_t seed);
Scenario draw_another_disc(std::uint64_t seed);
Scenario draw_suspected(std::uint64_t seed);
Scenario draw_silent(std::uint64_t seed);
Scenario draw_moved(std::uint64_t seed);
Scenario draw_upgraded(std::uint64_t seed);
Scenario draw_ordered(std::uint64_t seed);
Scenario draw_lied_to(std::uint64_t seed);
Scenario draw_realigned(std::uint64_t seed);
Scenario draw_killed(std::uint64_t seed);
Scenario draw_detached_early(std::uint64_t seed);
Scenario draw_closed_early(std::uint64_t seed);
Scenario draw_crowded(std::uint64_t seed);
Scenario draw_replay_handed(std::uint64_t seed);
Scenario draw_replay_killed(std::uint64_t seed);
Scenario draw_half_refused(std::uint64_t seed);
Scenario draw_failed_flush(std::uint64_t seed);
Scenario draw_write_beside_flush(std::uint64_t seed);
Scenario draw_flushes_own(std::uint64_t seed);
Scenario draw_flushes_beside(std::uint64_t seed);
Scenario draw_ends_beside_flush(std::uint64_t seed);
Scenario draw_failed_flush_handed(std::uint64_t seed);
Scenario draw_failed_fua(std::uint64_t seed);
Scenario draw_unknown_flush(std::uint64_t seed);
Scenario draw_private(std::uint64_t seed);
Scenario draw_private_cut(std::uint64_t seed);
Scenario draw_poisoned(std::uint64_t seed);
Scenario draw_overlong(std::uint64_t seed);
Scenario draw_hang_after_fail(std::uint64_t seed);
Scenario draw_fail_while_hung(std::uint64_t seed);
Scenario draw_hangs_in_a_row(std::uint64_t seed);
Scenario draw_hang_under_rewrites(std::uint64_t seed);
Scenario draw_hang_behind_flush(std::uint64_t seed);
Scenario draw_slow_link(std::uint64_t seed);
Scenario draw_slow_worker(std::uint64_t seed);
Scenario draw_grace_changed(std::uint64_t seed);
Scenario draw_grace_held(std::uint64_t seed);
Scenario draw_two_heads_cut(std::uint64_t seed);
Scenario draw_two_heads_crash(std::uint64_t seed);
Scenario draw_away_at_start(std::uint64_t seed);
Scenario draw_changed_at_upgrade(std::uint64_t seed);
Scenario draw_seen_and_handed(std::uint64_t seed);
Scenario draw_held_by_upgrade(std::uint64_t seed);
Scenario draw_kept_for_nobody(std::uint64_t seed);
Scenario draw_guest_ends(std::uint64_t seed);
Scenario draw_upgraded_in_vain(std::uint64_t seed);
Scenario draw_short_lived(std::uint64_t seed);

}  // namespace world
