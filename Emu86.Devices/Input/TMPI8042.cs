using Emu86.Chipset; using Emu86.Cpu;
namespace Emu86.Devices.Input;
public sealed class I8042(Clock c, EventQueue e, IrqLine a, IrqLine b) : IStateful {
  public Action<bool>? A20Changed {get;set;} public Action? ResetRequested {get;set;}
  public IPortDevice DataPort {get;} = new BytePorts(_=>0, (_,_)=>{_ = 0;}); public IPortDevice StatusPort {get;} = new BytePorts(_=>0, (_,_)=>{});
  public string StateName => "i8042"; public int StateVersion => 1; public void Save(ref StateWriter w){} public void Load(ref StateReader r){ _ = c; _ = e; _ = a; _ = b;}
  public void Reset(){} public void InjectScanCode(byte x){} public void InjectMouse(int a,int b,int c,byte d){}
}
