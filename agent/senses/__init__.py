"""What the agent sees of the world: each outside thing behind one small file, none of which decides anything.

- `linkwatch.LinkWatch`: ports, addresses and default routes, within milliseconds of a change;
- `prober.Prober`: probes of many targets in their own cadence (`pinger`, `tcp`, `dns`, `http`);
- `optical`, `snmp`: received light of an SFP or ONT, ports of a switch;
- `health`, `raspberry`, `ups`: the box itself and its power.

Pure modules beside them hold the codecs (`icmp_codec`, `dns_codec`, `sff8472`) and what follows from successive
observations (`burst`, `port_changes`, `optical_trend`). Judgement stands elsewhere in `agent`.
"""
