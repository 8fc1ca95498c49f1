// Multiplier with adders: p = (a + d) * b + addend, in one DSP48E2 of Xilinx UltraScale+.
//
// OPERANDS: registers in front of the multiplier, 0..2. PRE_ADD: d is added to a, in front of the one operand register,
// which clear_a makes zero. ADDEND: 0 none; 1 c, through a register that clear_c makes zero; 2 cascade_in >> 17.
// RESULT: p has a register behind the adder; else only the product has one, in front of it.
// Synthesis tools define SYNTHESIS and get the instance, simulators the behaviour of the same registers.
module triovit_multiply_add #(
    parameter OPERANDS = 1,
    parameter PRE_ADD = 0,
    parameter ADDEND = 0,
    parameter RESULT = 1
) (
    input  wire        clk,
    input  wire [26:0] a,
    input  wire [26:0] d,
    input  wire [17:0] b,
    input  wire [47:0] c,
    input  wire        clear_a,
    input  wire        clear_c,
    input  wire [47:0] cascade_in,
    output wire [47:0] cascade_out,
    output wire [47:0] p
);
`ifdef SYNTHESIS
    wire [47:0] pcin;
    generate
        if (ADDEND == 2) assign pcin = cascade_in;
        else assign pcin = 48'd0;
    endgenerate
    DSP48E2 #(
        .AREG(PRE_ADD ? 0 : OPERANDS), .ACASCREG(PRE_ADD ? 0 : OPERANDS), .BREG(OPERANDS), .BCASCREG(OPERANDS),
        .DREG(0), .ADREG(PRE_ADD ? OPERANDS : 1), .CREG(1), .MREG(1), .PREG(RESULT),
        .OPMODEREG(0), .ALUMODEREG(0), .INMODEREG(0), .CARRYINREG(0), .CARRYINSELREG(0),
        .AMULTSEL(PRE_ADD ? "AD" : "A"), .BMULTSEL("B"), .PREADDINSEL("A"), .A_INPUT("DIRECT"), .B_INPUT("DIRECT"),
        .USE_MULT("MULTIPLY"), .USE_SIMD("ONE48"), .USE_PATTERN_DETECT("NO_PATDET"), .USE_WIDEXOR("FALSE")
    ) dsp (
        .CLK(clk),
        .A({{3{a[26]}}, a}), .D(PRE_ADD ? d : 27'd0), .B(b), .C(ADDEND == 1 ? c : 48'd0), .CARRYIN(1'b0),
        .ACIN(30'd0), .BCIN(18'd0), .PCIN(pcin), .CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0),
        .INMODE(PRE_ADD ? 5'b00100 : 5'b00000),  // multiply D + A or A by B
        // W = 0; Z = 0, C or PCIN >> 17; X and Y = M
        .OPMODE({2'b00, ADDEND == 1 ? 3'b011 : ADDEND == 2 ? 3'b101 : 3'b000, 4'b0101}),
        .ALUMODE(4'b0000), .CARRYINSEL(3'b000),
        .CEA1(OPERANDS == 2), .CEA2(1'b1), .CEB1(OPERANDS == 2), .CEB2(1'b1), .CED(1'b0), .CEAD(1'b1),
        .CEC(1'b1), .CEM(1'b1), .CEP(1'b1),
        .CECTRL(1'b0), .CEALUMODE(1'b0), .CEINMODE(1'b0), .CECARRYIN(1'b0),
        .RSTA(1'b0), .RSTB(1'b0), .RSTC(clear_c), .RSTD(PRE_ADD ? clear_a : 1'b0), .RSTM(1'b0), .RSTP(1'b0),
        .RSTCTRL(1'b0), .RSTALUMODE(1'b0), .RSTINMODE(1'b0), .RSTALLCARRYIN(1'b0),
        .P(p), .PCOUT(cascade_out)
    );
`else
    reg signed [26:0] a1, a2;
    reg signed [17:0] b1, b2;
    reg signed [44:0] m;
    reg [47:0] held_c, sum;
    wire signed [26:0] operand_a = OPERANDS == 0 ? a : OPERANDS == 1 ? a1 : a2;
    wire signed [17:0] operand_b = OPERANDS == 0 ? b : OPERANDS == 1 ? b1 : b2;
    wire [47:0] shifted = {{17{cascade_in[47]}}, cascade_in[47:17]};
    wire [47:0] total = {{3{m[44]}}, m} + (ADDEND == 0 ? 48'd0 : ADDEND == 1 ? held_c : shifted);

    always @(posedge clk) begin
        a1     <= (PRE_ADD != 0) ? (clear_a ? 27'd0 : a + d) : a;
        a2     <= a1;
        b1     <= b;
        b2     <= b1;
        m      <= operand_a * operand_b;
        held_c <= clear_c ? 48'd0 : c;
        sum    <= total;
    end
    assign p = (RESULT != 0) ? sum : total;
    assign cascade_out = p;
`endif
endmodule
