// POST /v1/moves: discs whose tails have other link-layer addresses from now on.
#include "head/catalogue/disc_spec.hpp"
#include "head/control/api.hpp"
#include "head/control/api_request.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <vector>

namespace head::control {

namespace {

using nlohmann::json;

// Takes one member; the error is a sentence.
std::string take(Move& into, const std::string& key, const json& value) {
  const auto wrong = [&](std::string_view rule) { return fmt::format("\"{}\" {}", key, rule); };
  if (key == "name" || key == "to") {
    const bool good = value.is_string() && catalogue::is_name(value.get_ref<const std::string&>());
    if (!good) return wrong("is a name, of a disc or of a tail in head.toml");
    (key == "name" ? into.disc : into.to) = value.get<std::string>();
  } else if (key == "lladdr") {
    const auto lladdr = catalogue::lladdr_from_json(value);
    if (!lladdr) return wrong(lladdr.error());
    into.lladdr = *lladdr;
  } else if (key == "generation") {
    const auto generation = catalogue::generation_from_json(value);
    if (!generation) return wrong(generation.error());
    into.generation = *generation;
  } else {
    return fmt::format("a move has no \"{}\"; it has name, lladdr or to, and generation",
                       key.substr(0, 40));
  }
  return {};
}

Result<Move, std::string> move_from(const json& from) {
  if (!from.is_object()) return Failure{std::string("a move is {\"name\": ..., \"lladdr\": ...}")};
  Move move;
  for (const auto& [key, value] : from.items())
    if (std::string problem = take(move, key, value); !problem.empty())
      return Failure{std::move(problem)};
  if (move.disc.empty()) return Failure{std::string("a move needs the \"name\" of a disc")};
  if (move.lladdr.has_value() == !move.to.empty())
    return Failure{fmt::format("the move of disc {} needs either \"lladdr\" or \"to\"", move.disc)};
  return move;
}

Result<std::vector<Move>, HttpResponse> moves_of(const std::string& text) {
  const auto body = parse_body(text, list_values_max);
  if (!body) return Failure{body.error()};
  const auto list = body->is_object() ? body->find("moves") : body->end();
  if (!body->is_object() || list == body->end() || !list->is_array() || body->size() != 1)
    return Failure{problem(Problem::bad_json, "moves are {\"moves\": [{...}, ...]}")};
  std::vector<Move> moves;
  moves.reserve(list->size());
  for (std::size_t i = 0; i < list->size(); ++i) {
    auto move = move_from((*list)[i]);
    if (!move) return Failure{problem(Problem::bad_disc, move.error(), i)};
    moves.push_back(std::move(*move));
  }
  return moves;
}

}  // namespace

HttpResponse Api::move(const HttpRequest& request) {
  std::vector<Move> moves;
  {
    // One list after the other: what a parser makes of it is many times as large as its text.
    const std::unique_lock alone(at_length_, api_wait_max);
    if (!alone) return problem(Problem::out_of_memory, "others have long lists made; ask again");
    auto list = moves_of(request.body);
    if (!list) return list.error();
    moves = std::move(*list);
  }
  const auto began = std::chrono::steady_clock::now();
  const auto kept = agent_.move(moves);
  if (!kept) return answer(kept.error());
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  return answer(200, {{"moved", moves.size()}, {"ready", *kept}, {"seconds", took.count()}});
}

}  // namespace head::control
