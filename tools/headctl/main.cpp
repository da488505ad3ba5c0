// headctl: what an operator asks of headd. A client of its API and of nothing else; only `neigh`
// also reads the kernel, so that it works without headd.
#include "tools/headctl/command_line.hpp"
#include "tools/headctl/output.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
  try {
    const headctl::Exit status = headctl::parse_command_line(argc, argv)();
    if (std::fflush(stdout) == 0) return static_cast<int>(status);
    headctl::note("cannot write the result; is the disk full?");
  } catch (const headctl::Failure& failure) {
    headctl::note(failure.what());
    return static_cast<int>(failure.status);
  } catch (const nlohmann::json::exception&) {
    headctl::note("headd's answer is not as documented; are headctl and headd of one version?");
  } catch (const std::exception& error) {
    headctl::note(error.what());
  }
  return static_cast<int>(headctl::Exit::unexpected);
}
