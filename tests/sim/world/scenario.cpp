#include "tests/sim/world/scenario.hpp"

#include <fmt/format.h>

#include <iterator>

namespace world {
namespace {

double ms(Duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

std::string refusal(const Action& action) {
  return fmt::format("the tail refuses the next {} requests of command {}{} with errno {}",
                     action.times, static_cast<int>(action.command),
                     action.ask.fua ? " with FUA" : "", action.error);
}

std::string what(const Action& action) {
  const double lasts = ms(action.lasts);
  switch (action.act) {
    case Act::ask:
      return fmt::format("guest {} asks {}", action.who, to_string(action.ask));
    case Act::guest_ends:
      return fmt::format("guest {} ends", action.who);
    case Act::guest_comes_anew:
      return fmt::format("guest {} ends its connection and comes again", action.who);
    case Act::guest_stops:
      return fmt::format("guest {} takes no answers for {} ms", action.who, lasts);
    case Act::guest_begins:
      return fmt::format("guest {} begins", action.who);
    case Act::tail_ends:
      return fmt::format("the tail ends{}, and starts again after {} ms",
                         action.yes ? " and loses what is not flushed" : "", lasts);
    case Act::tail_vanishes:
      return fmt::format("the tail's host vanishes for {} ms", lasts);
    case Act::tail_stops:
      return fmt::format("the tail is stopped for {} ms", lasts);
    case Act::tail_hangs:
      return "the tail's connections hang";
    case Act::tail_cuts:
      return action.bytes == SIZE_MAX
                 ? fmt::format("the tail {} its connections", action.yes ? "resets" : "closes")
                 : fmt::format("the tail resets its connections after {} bytes", action.bytes);
    case Act::tail_refuses:
      return refusal(action);
    case Act::tail_is_spoilt:
      return fmt::format("the tail refuses changes of sectors {}-{} from now on", action.ask.first,
                         action.ask.first + action.ask.count - 1);
    case Act::tail_is_slow:
      return fmt::format("the tail takes {} ms for the next {} requests", lasts, action.times);
    case Act::tail_lies:
      return fmt::format("the tail's next {} replies {}", action.times,
                         action.bytes == 0 ? "lack a part"
                         : action.yes      ? "come twice"
                                           : "are of nobody's request");
    case Act::tail_shuts_down:
      return fmt::format("the tail shuts down for {} ms", lasts);
    case Act::tail_changes:
      if (action.change == Change::larger) return "the tail comes back larger";
      return fmt::format("the tail comes back {} for {} ms", to_string(action.change), lasts);
    case Act::head_detaches:
      return fmt::format("head {} detaches the disc, and attaches it after {} ms", action.who,
                         lasts);
    case Act::power_fails:
      return "the tail loses what is not flushed";
    case Act::link_fails:
      return fmt::format("the link of head {} is down for {} ms", action.who, lasts);
    case Act::head_is_killed:
      return fmt::format("head {} is killed, and starts again after {} ms", action.who, lasts);
    case Act::head_is_upgraded:
      return fmt::format("head {} is upgraded, the next goes on after {} ms", action.who, lasts);
    case Act::upgrade_fails:
      return fmt::format("head {} is upgraded in vain, and goes on after {} ms", action.who, lasts);
    case Act::head_is_stopped:
      return fmt::format("head {} is stopped for {} ms", action.who, lasts);
    case Act::head_holds:
      return fmt::format("head {} holds its requests for {} ms", action.who, lasts);
    case Act::head_fails:
      return fmt::format("head {} fails its requests for {} ms", action.who, lasts);
    case Act::head_has_grace:
      return fmt::format("head {} has a grace time of {} ms", action.who, lasts);
    case Act::head_relocates:
      return fmt::format("head {} is told to connect to its tail anew ({})", action.who,
                         action.yes ? "by the wire alone, against a pin" : "move");
  }
  return "?";
}

const char* of(Handing handing) {
  switch (handing) {
    case Handing::all:
      break;
    case Handing::lost:
      return ", lost in upgrades";
    case Handing::no_room:
      return ", without room in upgrades";
    case Handing::earlier:
      return ", of an earlier headd";
  }
  return "";
}

}  // namespace

std::string to_string(const Action& action) {
  if (action.boundary != 0) return fmt::format("event {:>8}  {}", action.boundary, what(action));
  return fmt::format("{:>11.3f} ms  {}", ms(action.at), what(action));
}

std::string to_string(const Scenario& scenario) {
  const TailManners& tail = scenario.tail;
  const HeadManners& head = scenario.head;
  std::string text = fmt::format("profile {}, seed {}\n", scenario.profile, scenario.seed);
  fmt::format_to(
      std::back_inserter(text),
      "tail: {} bytes, flags {:#x}, blocks of {}, {} workers, slow {} ({}-{} ms){}{}{}{}{}{}{}\n",
      tail.size, tail.flags, tail.block_minimum, tail.workers, tail.slow, ms(tail.slow_least),
      ms(tail.slow_most), tail.is_volatile ? ", a volatile cache" : "",
      tail.keeps_private ? ", writes private to connections" : "",
      tail.one_client ? ", one client at a time" : "",
      tail.early_flush ? ", FLUSH covers what was done when it began" : "",
      tail.tears ? ", does in part what it does not end" : "",
      tail.tears_errors ? ", does in part what it refuses" : "",
      tail.outlives ? ", requests outlive connections" : "");
  fmt::format_to(std::back_inserter(text),
                 "head: {}, {} connections{}, grace {} s, quarantine {} ms, suspicion {} ms\n",
                 head::nbd::to_string(head.durability), head.connections, of(head.handing),
                 head.grace.count(), head.quarantine.count(), head.suspect_after.count());
  for (std::size_t i = 0; i < scenario.guests.size(); ++i)
    fmt::format_to(std::back_inserter(text), "guest {}: at head {}{}{}{}\n", i,
                   scenario.guests[i].home,
                   scenario.guests[i].manners.structured ? ", structured replies" : "",
                   scenario.guests[i].manners.asks_again ? ", asks again" : "",
                   scenario.guests[i].manners.piece != 0 ? ", in pieces" : "");
  for (const Action& action : scenario.actions) text += to_string(action) + "\n";
  return text;
}

}  // namespace world
