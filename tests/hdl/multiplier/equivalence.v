// Two packed multipliers, `GOLD and `GATE, with the same inputs; addend 3 does not occur.
module equivalence (
    input clk, input [7:0] a0, input [7:0] a1, input [7:0] b, input [3:0] en, input [1:0] addend, input [47:0] cascade_in,
    output [47:0] gold_p, output [47:0] gate_p, output [47:0] gold_cascade, output [47:0] gate_cascade
);
    wire [1:0] legal = addend == 2'd3 ? 2'd0 : addend;
    `GOLD gold (
        .clk(clk), .a0(a0), .a1(a1), .b(b), .en(en), .addend(legal), .cascade_in(cascade_in),
        .cascade_out(gold_cascade), .p(gold_p)
    );
    `GATE gate (
        .clk(clk), .a0(a0), .a1(a1), .b(b), .en(en), .addend(legal), .cascade_in(cascade_in),
        .cascade_out(gate_cascade), .p(gate_p)
    );
endmodule

// The twin with the ports of the others.
module adapter (
    input clk, input [7:0] a0, input [7:0] a1, input [7:0] b, input [3:0] en, input [1:0] addend, input [47:0] cascade_in,
    output [47:0] cascade_out, output [47:0] p
);
    twin twin (
        .clk(clk), .rst(1'b0), .a({a1, a0}), .b(b), .en(en), .addend(addend), .cascade_in(cascade_in),
        .cascade_out(cascade_out), .p(p)
    );
endmodule
