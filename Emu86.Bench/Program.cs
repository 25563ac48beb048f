// Benchmarks. `guests`: the same Linux guest in emu86 and in other emulators, timed on the host. Anything else goes to
// BenchmarkDotNet: the micro-benchmarks of this assembly (`--filter '*'` runs all of them).
using BenchmarkDotNet.Running;
using Emu86.Bench.Guests;

if (args is ["guests", .. var rest]) return GuestBenchmark.Run(rest);
BenchmarkSwitcher.FromAssembly(typeof(GuestBenchmark).Assembly).Run(args);
return 0;
