#include "tools/bench/headd.hpp"

#include <fstream>
#include <stdexcept>

namespace bench {

Headd::Headd(const Common& common, const Scratch& scratch, const std::string& name,
             const std::string& configuration, Arguments within, const Arguments& options)
    : bin_(common.bin), folder_(scratch / name) {
  if (!std::filesystem::exists(bin_ / "headd"))
    throw std::runtime_error("there is no headd in " + bin_.string() +
                             ": build it, or name its folder with --bin");
  std::filesystem::create_directories(folder_ / "run");
  std::ofstream(folder_ / "head.toml") << configuration << "\n[metrics]\nlisten = \"off\"\n";
  const Arguments command{bin_ / "headd",    "--config",  folder_ / "head.toml", "--state-dir",
                          folder_ / "state", "--run-dir", folder_ / "run"};
  within.insert(within.end(), command.begin(), command.end());
  within.insert(within.end(), options.begin(), options.end());
  process_ = Process(within, folder_ / "log");
  process_.await("its API answering", [this] { return listens(folder_ / "run/api.sock"); });
}

std::string Headd::headctl(Arguments arguments) const {
  Arguments command{bin_ / "headctl", "--api", folder_ / "run/api.sock"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return output_of(command, folder_);
}

std::filesystem::path Headd::socket_of(const std::string& disc) const {
  return folder_ / "run/discs" / disc / "nbd.sock";
}

}  // namespace bench
