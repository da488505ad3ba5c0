// The model's steps on the production classes, one by one and in one process: catalogue::Store and
// its lock on a scratch folder, Agent over fakes, Upgrader, NextHeadd, UpgradeChannel and Heir.
// What Upgrader starts as the next headd is a helper program that gives its end of the channel to
// this process (relay()), where an actor plays the new headd on it.
#pragma once

#include "head/control/heir.hpp"
#include "head/control/inheritance.hpp"
#include "head/control/upgrade.hpp"
#include "tests/control_fakes.hpp"
#include "tests/ownership/actor.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace head::ownership {

// A store whose writes an actor stops before.
class SteppedStore final : public catalogue::Store {
 public:
  using Store::Store;
  void put(std::span<const catalogue::DiscSpec> specs) override;
  void remove(std::span<const std::string> names) override;
};

// One process: what serve() in head/main.cpp makes, without sockets for the API.
class RealHead {
 public:
  // Started by hand. Throws catalogue::StoreError where the state directory is another's.
  explicit RealHead(const std::filesystem::path& folder);
  // Started by an upgrade: `channel` is its end; it is stopped before it hears "begin". The helper
  // program ends with `helper`.
  RealHead(const std::filesystem::path& folder, iouring::UniqueFd channel,
           iouring::UniqueFd helper);
  ~RealHead();  // kill -9, as far as others can tell.
  RealHead(const RealHead&) = delete;
  RealHead& operator=(const RealHead&) = delete;

  void ask_upgrade();
  bool refuses_changes();
  bool refuses_upgrades();

  std::unique_ptr<Actor> main;     // Of a headd that was started by an upgrade.
  std::unique_ptr<Actor> upgrade;  // The latest.
  std::optional<Result<control::Upgraded, control::NotUpgraded>> upgraded;
  std::unique_ptr<SteppedStore> store;
  std::unique_ptr<control::Agent> agent;
  std::unique_ptr<control::Upgrader> upgrader;

 private:
  void make();
  void take_over(int channel);

  const std::filesystem::path folder_;
  iouring::UniqueFd channel_copy_, helper_;
  std::optional<control::Heir> heir_;
  std::shared_ptr<control::Inheritance> inheritance_;
};

// A socket for messages between the helper program and this process.
iouring::UniqueFd helper_socket(const std::string& path, bool listens);
// The helper program: gives its descriptor 3 to whoever listens at `path`, and stays until it is
// killed or hung up on.
int relay(const std::string& path);

}  // namespace head::ownership
