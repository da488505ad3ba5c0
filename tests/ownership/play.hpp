// A history of the model, made step by step on the production classes (heads.hpp), and compared
// with the model after each step.
#pragma once

#include "tests/folder.hpp"
#include "tests/ownership/heads.hpp"
#include "tests/ownership/model.hpp"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace head::ownership {

// Each call says in a sentence how the real ones differ from the model, if they do.
class Play {
 public:
  explicit Play(const Model& model);
  ~Play();
  Play(const Play&) = delete;
  Play& operator=(const Play&) = delete;

  std::optional<std::string> make(const Step& step, const State& before, const State& after);
  // Nothing: it is not there.
  RealHead* head(std::size_t number) { return heads_[number].get(); }
  bool is_accepted(std::size_t client) const;
  std::uint8_t file() const;

  // Not played: SIGTERM from outside comes at a moment that cannot be seen from here.
  static bool can_play(const Step& step) { return step.what != Step::What::sigterm; }

 private:
  struct RealClient {
    std::unique_ptr<Actor> actor;
    std::optional<control::Refusal> refusal;
    std::size_t head = nobody;
  };

  std::optional<std::string> make_change(const Step& step, const State& after);
  std::optional<std::string> make_upgrade(const Step& step, const State& after);
  std::optional<std::string> make_heir(const Step& step, const State& before, const State& after);
  std::optional<std::string> make_outside(const Step& step, const State& before);
  std::optional<std::string> compare(const State& after);
  void enter(const Step& step);
  std::optional<std::string> ask_upgrade(RealHead& head, const State& after, std::size_t number);
  std::optional<std::string> receive_heir(std::size_t number);
  void bury(std::size_t number);

  const Model& model_;
  const test::Folder folder_;
  iouring::UniqueFd listener_;
  std::vector<pid_t> helpers_;
  std::array<std::unique_ptr<RealHead>, heads_max> heads_;
  std::array<RealClient, clients_max> clients_;
};

}  // namespace head::ownership
