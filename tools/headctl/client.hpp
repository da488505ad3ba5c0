// headd's API, over its Unix socket. Every call gives the answer's JSON or throws Failure, whose
// sentence is the daemon's own where it said one.
#pragma once

#include "tools/headctl/failure.hpp"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace headctl {

// A refusal by the daemon; `index` as API.md has it.
struct Refused : Failure {
  Refused(Exit how, const std::string& sentence, std::optional<std::size_t> which)
      : Failure(how, sentence), index(which) {}
  std::optional<std::size_t> index;
};

// headd was asked, and ended without an answer: it may have done what was asked, or not.
struct Unanswered : Failure {
  using Failure::Failure;
};

// As a part of a path or of a query, whatever was typed.
std::string encoded(const std::string& text);
// "/v1/discs/NAME", whatever was typed as a name. Throws when it is empty.
std::string disc_path(const std::string& name);

class Client {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // What is not answered `until` then is Unanswered, and asked for no more.
  explicit Client(std::string socket_path, std::optional<Time> until = {});
  ~Client();

  nlohmann::json get(const std::string& path);
  std::string text(const std::string& path);  // Of what is no JSON.
  nlohmann::json put(const std::string& path, const nlohmann::json& body);
  nlohmann::json post(const std::string& path, const nlohmann::json& body);
  nlohmann::json patch(const std::string& path, const nlohmann::json& body);
  nlohmann::json remove(const std::string& path);

 private:
  class Http;
  std::unique_ptr<Http> http_;
};

// After an answer to a wait that was begun then: where headd answered at once, because very many
// wait, it is not asked again at once.
void pause_if_early(std::chrono::steady_clock::time_point asked);

}  // namespace headctl
