// A step of the model as a sentence, for people.
#include "tests/ownership/model.hpp"

#include <fmt/format.h>

namespace head::ownership {

namespace {

using Stage = Client::Stage;

std::string head_of(std::size_t head) {
  return "headd " + name_of_head(head);
}

std::string hears(const State& before, const State& after, const Step& step) {
  const std::string old = head_of(step.head);
  const auto& was = before.heads[step.head];
  const std::string heir = head_of(was.child);
  switch (after.heads[step.head].attempt) {
    case Attempt::hears_taken:
      return fmt::format("{} hears \"ready\", lets go of the guests and sends them to {}", old,
                         heir);
    case Attempt::hears_serving:
      return fmt::format("{} hears \"taken\" and says \"go\": the guests are {}'s", old, heir);
    case Attempt::says_yours:
      return fmt::format("{} hears \"serving\"", old);
    case Attempt::none:
      return fmt::format(
          "{} hears \"serving\", answers the upgrade with success and sends itself "
          "SIGTERM",
          old);
    default:
      return fmt::format("{} gives the upgrade to {} up", old, heir);
  }
}

std::string heir_hears(const State& before, const State& after, const Step& step) {
  const std::string heir = head_of(step.head);
  switch (after.heads[step.head].main) {
    case Main::hears_guests:
      return fmt::format(
          "{} hears \"begin\", has the lock too, reads discs.json ({}) and says "
          "\"ready\"",
          heir, names_of_discs(after.heads[step.head].memory));
    case Main::hears_go:
      return fmt::format("{} has received the guests and says \"taken\"", heir);
    case Main::has_guests:
      return before.heads[step.head].to_child == Word::go
                 ? fmt::format("{} hears \"go\" and serves the guests", heir)
                 : fmt::format("{} serves the guests, although nobody has said \"go\"", heir);
    default:
      return fmt::format("{} notices that the old headd is gone, and ends", heir);
  }
}

std::string enters(const State& after, const Step& step, bool is_attach) {
  const std::string what = fmt::format("a client asks {} to {} disc {}", head_of(step.head),
                                       is_attach ? "attach" : "detach", name_of_disc(step.client));
  if (after.clients[step.client].stage == Stage::entered) return what;
  if (after.heads[step.head].frozen == 0) return what + ", which it refuses";
  return what + ", which it refuses with 503: an upgrade is under way";
}

std::string renames(const State& after, const Step& step) {
  const std::string head = head_of(step.head);
  if (after.clients[step.client].stage != Stage::renamed)
    return fmt::format(
        "{} cannot put discs.json in place, as discs.json.new is gone; it takes the change back "
        "and answers with an error",
        head);
  return fmt::format("{} renames discs.json.new to discs.json, which now has {}", head,
                     names_of_discs(after.file));
}

std::string of_heir(const Step& step) {
  const std::string heir = head_of(step.head);
  switch (step.what) {
    case Step::What::heir_times_out:
      return fmt::format("{} has waited too long for the old headd, and ends", heir);
    case Step::What::heir_fails:
      return fmt::format("{} fails, says \"no\" and ends", heir);
    case Step::What::open_api:
      return fmt::format("{} opens its API", heir);
    case Step::What::say_serving:
      return fmt::format("{} says \"serving\"", heir);
    case Step::What::thaw_new:
      return fmt::format("{} takes changes from now on", heir);
    default:
      return fmt::format("somebody starts {}, which gets the lock and reads discs.json", heir);
  }
}

std::string of_old(const Step& step, const State& before) {
  const std::string old = head_of(step.head);
  const std::uint8_t child = before.heads[step.head].child;
  const std::string heir = child != nobody ? head_of(child) : "the new headd";
  switch (step.what) {
    case Step::What::ask_upgrade:
      return fmt::format("a client asks {} to upgrade; it refuses changes from now on", old);
    case Step::What::time_out:
      return fmt::format("{} has waited too long for {} and gives the upgrade up", old, heir);
    case Step::What::kill_heir:
      return fmt::format("{} kills {}", old, heir);
    case Step::What::thaw_old:
      return fmt::format(
          "{} goes on as before, takes changes again and answers the upgrade with "
          "an error",
          old);
    case Step::What::say_yours:
      if (before.heads[child].open == 0)
        return fmt::format("{} cannot say \"yours\", as {} is gone", old, heir);
      return fmt::format("{} says \"yours\": the state directory is {}'s", old, heir);
    case Step::What::told_to_end:
      return fmt::format("{} receives SIGTERM", old);
    case Step::What::end:
      return fmt::format("{} ends", old);
    case Step::What::kill_9:
      return fmt::format("somebody kills {} with SIGKILL", old);
    default:
      return fmt::format("somebody sends SIGTERM to {}", old);
  }
}

}  // namespace

std::string name_of_head(std::size_t head) {
  return {static_cast<char>('A' + head)};
}

std::string name_of_disc(std::size_t client) {
  return {static_cast<char>('x' + client)};
}

std::string names_of_discs(std::uint8_t mask) {
  std::string names;
  for (std::size_t i = 0; i < clients_max; ++i)
    if ((mask >> i & 1) != 0) names += (names.empty() ? "disc " : " and ") + name_of_disc(i);
  return names.empty() ? "no disc" : names;
}

const char* to_string(Fault fault) {
  switch (fault) {
    case Fault::two_owners:
      return "two headds take changes";
    case Fault::two_writers:
      return "two headds write discs.json.new at once";
    case Fault::lost_on_disk:
      return "discs.json has lost a change that was answered with success";
    case Fault::lost:
      return "the headd that serves in the end has lost a change that was answered with success";
    case Fault::remains:
      return "something of a refused change is there in the end";
    case Fault::differs:
      return "the headd that serves in the end and discs.json do not agree";
    case Fault::none_serves:
      return "no headd serves in the end, and nobody outside ended the one that did";
    case Fault::two_serve:
      return "two headds serve in the end";
    case Fault::stuck:
      return "a headd is there in the end that takes no changes";
  }
  return "";
}

std::string Model::tell(const Step& step, const State& before, const State& after) const {
  const std::string head = head_of(step.head);
  switch (step.what) {
    case Step::What::enter:
      return enters(after, step, is_attach(step.client));
    case Step::What::write:
      return fmt::format("{} writes discs.json.new with {}", head, names_of_discs(after.next));
    case Step::What::rename:
      return renames(after, step);
    case Step::What::answer:
      return fmt::format("{} answers with success: disc {} is {}", head, name_of_disc(step.client),
                         is_attach(step.client) ? "attached" : "detached");
    case Step::What::spawn: {
      const std::uint8_t child = after.heads[step.head].child;
      if (child == nobody) return fmt::format("{} cannot start a new headd", head);
      return fmt::format("{} starts {} and says \"begin\", with the lock", head, head_of(child));
    }
    case Step::What::hear:
      return hears(before, after, step);
    case Step::What::heir_hears:
      return heir_hears(before, after, step);
    case Step::What::heir_times_out:
    case Step::What::heir_fails:
    case Step::What::open_api:
    case Step::What::say_serving:
    case Step::What::thaw_new:
    case Step::What::fresh_start:
      return of_heir(step);
    default:
      return of_old(step, before);
  }
}

}  // namespace head::ownership
