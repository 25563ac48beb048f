// Entry point: options → role.
using Emu86.Ft.Cli;

return CommandLine.Invoke(args, Emu86.Ft.Run.Roles.Run);
