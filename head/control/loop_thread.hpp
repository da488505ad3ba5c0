// The data thread that runs: a thread, its loop, its memory for payloads, and the discs on it.
#pragma once

#include "head/control/data_thread.hpp"
#include "head/control/inheritance.hpp"
#include "head/disc/traces.hpp"
#include "head/export/listener.hpp"
#include "head/nbd/connection.hpp"
#include "iouring/io.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>

namespace head::control {

struct LoopThreadOptions {
  // Makes the loop, on its thread.
  std::function<std::unique_ptr<iouring::Loop>()> make_loop;
  // A request of the disc waits: look for the cause. Called on the data thread.
  std::function<void(const std::shared_ptr<stats::DiscStats>&)> look;
  std::filesystem::path run_dir;
  iouring::UnixAccess access;
  std::size_t payload_memory = 64 << 20;  // Bytes.
  std::size_t replay_memory = 0;          // Bytes.
  std::size_t guests_max = SIZE_MAX;
  DataSettings settings;
  std::shared_ptr<Inheritance> inheritance{};  // Null: there is none, ever.
  disc::Traces* traces = nullptr;              // Its own. Null: nothing outlives headd.
};

class LoopThread final : public DataThread {
 public:
  // Throws what making the loop or its memory throws.
  explicit LoopThread(LoopThreadOptions options);
  // Detaches what is left.
  ~LoopThread() override;

  void attach(const catalogue::DiscSpec& spec, Attachment with,
              std::function<void(std::string problem)> done) override;
  void detach(const std::string& name, std::function<void()> done) override;
  void relocate(const std::string& name) override;
  void look(std::vector<std::string> names) override;
  void accept(const std::string& name) override;
  void change(const catalogue::DiscSpec& spec, std::function<void()> done) override;
  void hand_over(std::size_t connections_most,
                 std::function<void(std::vector<exports::HandedDisc>)> done) override;
  void take_back() override;
  void take_up(std::function<void()> done) override;
  void apply(const DataSettings& settings) override;
  void ask(std::function<void()> done) override;
  Reasons without_listener() const override;
  const stats::StallLog& stalls() const noexcept override;

 private:
  class Work;
  std::unique_ptr<Work> work_;
};

}  // namespace head::control
